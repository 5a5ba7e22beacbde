import { Draws, type RandomSource } from "../protocol/random.ts";
import { bernoulliExp, type Fraction, fractionOf } from "./bernoulli-exp.ts";

/** Largest standard deviation in grid units: what is drawn, at most some 40 of them, stays an exact double. */
const MAX_SIGMA = 2 ** 44;

/**
 * Makes a sampler of the discrete Gaussian on the integers, P(x) ∝ e^(-x²/(2σ²)), after Canonne, Kamath and Steinke 2020
 * (Algorithms 2 and 3): a discrete Laplace number of scale t = ⌊σ⌋ + 1 is kept with probability e^(-(|y| − σ²/t)²/(2σ²)).
 *
 * The distribution is exact, given uniform bits: every decision compares a lazily drawn uniform real with a probability that is
 * known to any precision that the comparison needs (see `bernoulliExp`); whole numbers are drawn without bias; nothing is
 * ever rounded to floating point that reaches the result. Running time depends on the drawn values (not constant-time).
 *
 * @param sigma standard deviation parameter in grid units, > 0, at most 2^44
 */
export function discreteGaussianSampler(sigma: number, random: RandomSource): () => number {
  if (!(sigma > 0 && sigma <= MAX_SIGMA)) throw new RangeError(`sigma ${sigma} is not in (0, ${MAX_SIGMA}]`);
  const draws = new Draws(random);
  const t = Math.floor(sigma) + 1;
  const excess = sigma * sigma;
  const exact = fractionOf(sigma);

  /** Algorithm 2: x in Z with P(x) ∝ e^(-|x|/t). */
  const laplace = (): number => {
    for (;;) {
      const low = draws.integer(t);
      if (!bernoulliExp(low / t, () => ({ numerator: BigInt(low), denominator: BigInt(t) }), draws)) continue;
      let high = 0;
      while (bernoulliExp(1, () => ({ numerator: 1n, denominator: 1n }), draws)) high++;
      const negative = draws.bernoulli(1, 2);
      const magnitude = low + t * high;
      if (!negative) return magnitude;
      if (magnitude > 0) return -magnitude;
    }
  };

  return () => {
    for (;;) {
      const y = laplace();
      const distance = (Math.abs(y) - excess / t) / sigma;
      if (bernoulliExp((distance * distance) / 2, () => rejectionExponent(Math.abs(y), t, exact), draws)) return y;
    }
  };
}

/** (y − σ²/t)²/(2σ²) as a fraction: with σ = a/b it is (y t b² − a²)² / (2 a² b² t²). */
function rejectionExponent(y: number, t: number, { numerator: a, denominator: b }: Fraction): Fraction {
  const root = BigInt(y) * BigInt(t) * b * b - a * a;
  const scale = a * b * BigInt(t);
  return { numerator: root * root, denominator: 2n * scale * scale };
}

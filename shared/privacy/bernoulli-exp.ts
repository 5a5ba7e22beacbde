import type { Draws } from "../protocol/random.ts";

/** An exact number, numerator / denominator ≥ 0. */
export interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** The exact value of a finite double ≥ 0. */
export function fractionOf(x: number): Fraction {
  let denominator = 1n;
  while (!Number.isInteger(x)) {
    x *= 2;
    denominator *= 2n;
  }
  return { numerator: BigInt(x), denominator };
}

/**
 * How far, relative, the double-precision e^(-x) may be off: 2^-36, far more than the rounding of x (2^-42 up to x = 700, where
 * e^(-x)·2^32 has long been below 1) and of Math.exp (2^-50) can cause.
 */
const TRUST = 2 ** -36;

/**
 * True with probability exactly e^(-x). A uniform real number is compared with e^(-x); 32 of its bits and the double-precision
 * value decide, unless they are too close to tell (once in four thousand million draws): then more bits of both are taken until
 * they differ.
 * @param approximate x ≥ 0 in double precision, off by at most 2^-40 where it is below 700
 * @param exact x itself, asked for only where it is needed
 */
export function bernoulliExp(approximate: number, exact: () => Fraction, draws: Draws): boolean {
  const word = draws.uint32();
  const scaled = Math.exp(-approximate) * 2 ** 32;
  if (word + 1 <= scaled * (1 - TRUST)) return true;
  if (word > scaled * (1 + TRUST)) return false;
  return compareWithExp(BigInt(word), exact(), draws);
}

/** Bits that are added to the uniform number each time that it can't be told from e^(-x). */
const MORE_BITS = 64n;

/** Whether the uniform real number whose first 32 bits are `uniform` is below e^(-x), drawing as many more bits as it takes. */
function compareWithExp(uniform: bigint, x: Fraction, draws: Draws): boolean {
  for (let bits = 32n + MORE_BITS; ; bits += MORE_BITS) {
    uniform = (uniform << MORE_BITS) | (BigInt(draws.uint32()) << 32n) | BigInt(draws.uint32());
    const [low, high] = expBounds(x, bits);
    if (uniform + 1n <= low) return true;
    if (uniform >= high) return false;
  }
}

/** Whole numbers low ≤ e^(-x)·2^bits ≤ high that differ by little: by the series of e^(-x/2^s) in fixed point, squared s times. */
export function expBounds({ numerator, denominator }: Fraction, bits: bigint): [bigint, bigint] {
  let halvings = 0n;
  while (numerator > denominator << halvings) halvings++;
  const precision = bits + 2n * halvings + 32n;
  const one = 1n << precision;
  const y = (numerator << precision) / (denominator << halvings);
  // e^(-y) for y ≤ 1, whose rounding and that of the terms puts each of them off by less than 2 units.
  let term = one;
  let sum = one;
  let count = 1n;
  for (; term > 0n; count++) {
    term = (term * y) / (count * one);
    sum += count % 2n === 1n ? -term : term;
  }
  let low = sum - 2n * count;
  let high = sum + 2n * count;
  for (let i = 0n; i < halvings; i++) {
    low = (low * low) >> precision;
    high = ((high * high) >> precision) + 1n;
  }
  const surplus = precision - bits;
  return [low >> surplus, (high >> surplus) + 1n];
}

import type { ComposedLoss, Side } from "./compose.ts";
import { ROUNDOFF } from "./rounding.ts";

/** The largest e^(−λx)(1 − e^(−x)) over x ≥ 0: what one unit of tilted mass at a loss ε + x can make of δ(ε) at most, scaled. */
function peak(tilt: number): number {
  if (tilt === 0) return 1;
  return Math.exp(-tilt * Math.log1p(1 / tilt)) / (1 + tilt);
}

/**
 * By how much what the window doesn't hold, and rounding in it, can change δ(ε).
 * @param height {@link peak} of the tilt
 */
export function unsureAt(
  { logMoment, logError, tilt, outside }: ComposedLoss,
  epsilon: number,
  height = peak(tilt),
): number {
  return outside * Math.exp(logMoment + logError - tilt * epsilon) * height * (1 + 1e-9);
}

/**
 * A bound on δ(ε) = E_P[(1 − e^(ε − L))⁺] (Zhu, Dong and Wang 2022), rounding included: every term is positive, and errs by what its exponents round,
 * their difference included (8) and a sum of n numbers by n roundoffs.
 * @param side which bound; the composed loss is one of the same side
 */
export function deltaAt(composed: ComposedLoss, epsilon: number, side: Side): number {
  const { first, step, tilted, tilt, logMoment, logError, infinite, shift } = composed;
  const direction = side === "upper" ? 1 : -1;
  // The losses are moved by `shift`: as well may ε be, the other way.
  const from = epsilon - direction * shift;
  let [sum, largest] = [0, 0];
  const begin = Math.max(0, Math.floor((from - first) / step));
  for (let i = begin; i < tilted.length; i++) {
    const loss = first + i * step;
    if (loss <= from) continue;
    const exponent = logMoment - tilt * loss;
    sum -= tilted[i]! * Math.exp(exponent) * Math.expm1(from - loss);
    largest = Math.max(largest, Math.abs(exponent));
  }
  const relative =
    Math.expm1(logError) + (4 * (Math.abs(logMoment) + largest) + 16 + (tilted.length - begin)) * ROUNDOFF;
  const delta = sum * (1 + direction * relative) + direction * unsureAt(composed, from);
  return Math.min(Math.max(side === "upper" ? delta + infinite : delta, 0), 1);
}

/** How much further a bound on ε is taken where rounding may have spoiled it, at first; eight times as far each time. */
const FIRST_STEP_OUT = 1e-14;
const STEPS_OUT = 16;

/** A bound on the smallest ε ≥ 0 with δ(ε) at most a δ: the crossing as computed, taken outward until {@link deltaAt} confirms it. */
export function epsilonAt(composed: ComposedLoss, delta: number, side: Side): number {
  const direction = side === "upper" ? 1 : -1;
  const start = crossing(composed, delta, side) + direction * composed.shift;
  let out = FIRST_STEP_OUT * (1 + start);
  for (let i = 0, epsilon = start; i < STEPS_OUT; i++) {
    if (epsilon <= 0 && side === "lower") return 0;
    const at = Math.max(epsilon, 0);
    const bound = deltaAt(composed, at, side);
    if (side === "upper" ? bound <= delta : bound > delta) return at;
    epsilon += direction * out;
    out *= 8;
  }
  return side === "upper" ? Number.POSITIVE_INFINITY : 0;
}

/**
 * Where the bound on δ(ε) crosses a δ, up to rounding: walking down from the largest loss with A = Σ p and B = Σ p e^(l − L) over
 * the losses L ≥ l passed so far, δ(ε) = A − e^(ε − l) B between two nodes.
 */
function crossing(composed: ComposedLoss, delta: number, side: Side): number {
  const { first, step, tilted, tilt, logMoment, infinite } = composed;
  const [shrink, height] = [Math.exp(-step), peak(tilt)];
  let [a, b] = [0, 0];
  for (let i = tilted.length - 1; i >= 0; i--) {
    const loss = first + i * step;
    if (loss <= 0) return 0;
    const mass = tilted[i]! * Math.exp(logMoment - tilt * loss);
    a += mass;
    b = b * shrink + mass;
    const unsure = unsureAt(composed, loss - step, height);
    const rest = side === "upper" ? unsure + infinite : -unsure;
    if (a - b * shrink + rest > delta) {
      const epsilon = loss + Math.log((a + rest - delta) / b);
      return Math.max(0, Math.min(epsilon, loss));
    }
  }
  return side === "upper" ? Math.max(0, first - step) : 0;
}

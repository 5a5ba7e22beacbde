import type FFT from "fft.js";
import type { LossTable } from "./loss-table.ts";
import { ROUNDOFF, UNDERFLOW } from "./rounding.ts";
import { emptySpectrum, fftOf, inverseOf, multiplyByPower } from "./spectrum.ts";

/** A table and how often it is composed with itself. */
export interface RepeatedTable {
  readonly table: LossTable;
  readonly steps: number;
}

/**
 * The composed loss distribution, exponentially tilted: under P the loss `first + i·step` has probability
 * `tilted[i] · e^(logMoment − tilt·loss)`. `outside` bounds, in the tilted measure, what lies outside of the window (and was
 * folded into it by the circular convolution) and what rounding changed in it.
 */
export interface ComposedLoss {
  readonly first: number;
  readonly step: number;
  readonly tilted: Float64Array;
  readonly tilt: number;
  readonly logMoment: number;
  readonly outside: number;
  readonly infinite: number;
  /** How far the bound's losses are from the nodes, rounding of the nodes included. */
  readonly shift: number;
  /** How far `logMoment − tilt·loss` can be from what it stands for. */
  readonly logError: number;
}

/** Which way rounding goes: an upper bound's masses are too large rather than too small. */
export type Side = "lower" | "upper";

/** −log of the tilted probability that a window may leave out at each end: e^-30 = 1e-13. */
const WINDOW_EXPONENT = 30;

/**
 * Composes tables of one common step by one FFT: the tilted masses' spectra to the power of their steps, multiplied.
 * Tilting by e^(tilt·loss) moves the window to the tail where δ is decided, so rounding errors are relative to that tail and
 * not to 1; it is undone exactly afterwards.
 * @param tilt λ ≥ 0
 * @param maxSize most nodes of the window, a power of two
 * @returns undefined if the window needs more
 */
export function compose(
  tables: readonly RepeatedTable[],
  tilt: number,
  maxSize: number,
  side: Side,
): ComposedLoss | undefined {
  const step = tables[0]!.table.step;
  const parts = tables.map((table) => tiltTable(table, tilt, side));
  const sumOver = (term: (part: TiltedTable) => number) =>
    parts.reduce((sum, part) => sum + part.steps * term(part), 0);
  const offset = sumOver((part) => part.offset);
  const [low, high] = windowOf(parts);
  const size = 2 ** Math.max(4, Math.ceil(Math.log2((high - low) / step + 3)));
  if (!(size <= maxSize)) return undefined;
  const begin = Math.floor((low - offset) / step);

  const fft = fftOf(size);
  const spectrum = emptySpectrum(size);
  for (const part of parts) multiplyByPower(spectrum, fft, foldedMass(part, fft), part.steps);
  const { composed, rounding } = inverseOf(spectrum, fft);
  const tilted = new Float64Array(size);
  for (let i = 0; i < size; i++) tilted[i] = Math.max(0, composed[2 * modulo(begin + i, size)]!);
  // Offsets, nodes and their sum: five roundings of numbers that are at most this large.
  const nodes = 5 * ROUNDOFF * (sumOver((part) => Math.abs(part.offset)) + (Math.abs(begin) + size) * step);
  return {
    first: offset + begin * step,
    step,
    tilted,
    tilt,
    logMoment: sumOver((part) => part.logMoment),
    outside: 2 * Math.exp(1 - WINDOW_EXPONENT) + rounding + sumOver((part) => part.mass.length * UNDERFLOW),
    infinite: sumOver((part) => part.infinite) * (1 + 1e-9),
    shift: sumOver((part) => part.shift) * (1 + 1e-9) + nodes,
    logError: sumOver((part) => 6 * Math.abs(part.logMoment) + 8) * ROUNDOFF + tilt * nodes,
  };
}

const modulo = (i: number, size: number) => ((i % size) + size) % size;

/** A table under the tilt: masses add up to 1, `logMoment` is the logarithm of what they added up to before. */
interface TiltedTable extends LossTable {
  readonly steps: number;
  readonly logMoment: number;
  /** The node next to the mean loss. */
  readonly centre: number;
  readonly variance: number;
}

/** The masses that come out stand for `mass·e^(tilt·loss − logMoment)` and are no smaller (upper) or no larger (lower) than that. */
function tiltTable({ table, steps }: RepeatedTable, tilt: number, side: Side): TiltedTable {
  const { offset, first, step } = table;
  const direction = side === "upper" ? 1 : -1;
  const mass = new Float64Array(table.mass.length);
  const logs = new Float64Array(mass.length);
  const logTilted = (i: number) => logs[i]! + tilt * (offset + (first + i) * step);
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < mass.length; i++) {
    logs[i] = Math.log(table.mass[i]!);
    max = Math.max(max, logTilted(i));
  }
  let [total, mean] = [0, 0];
  for (let i = 0; i < mass.length; i++) {
    if (table.mass[i] === 0) continue;
    // The logarithm, its product and sums, and e^: relative to the mass, what is rounded in the exponent.
    const tilting = tilt * (Math.abs(offset) + Math.abs(first + i) * step);
    const error = (4 * Math.abs(logs[i]!) + 6 * tilting + 2 * Math.abs(max) + 16) * ROUNDOFF;
    mass[i] = Math.exp(logTilted(i) - max) * (1 + direction * error);
    total += mass[i]!;
    mean += mass[i]! * i;
  }
  const centre = Math.round(mean / total);
  let variance = 0;
  for (let i = 0; i < mass.length; i++) {
    mass[i]! /= total;
    variance += mass[i]! * ((i - centre) * step) ** 2;
  }
  return { ...table, mass, steps, logMoment: max + Math.log(total), centre, variance };
}

/**
 * An interval of the composed tilted loss outside of which lies at most e^-29 at each end, by Chernoff's bound
 * P(S ≥ c + r) ≤ E[e^(μ(S − c))]·e^(−μr), minimised over some μ.
 */
function windowOf(parts: readonly TiltedTable[]): [number, number] {
  const centre = parts.reduce(
    (sum, { steps, offset, first, centre, step }) => sum + steps * (offset + (first + centre) * step),
    0,
  );
  const deviation = Math.sqrt(parts.reduce((sum, { steps, variance }) => sum + steps * variance, 0));
  const reach = (sign: 1 | -1) => {
    let best = Number.POSITIVE_INFINITY;
    for (let exponent = -7; exponent <= 5; exponent += 0.5) {
      const mu = (sign * 2 ** exponent) / (deviation + parts[0]!.step);
      const log = parts.reduce((sum, part) => sum + part.steps * logCentredMoment(part, mu), 0);
      best = Math.min(best, (log + WINDOW_EXPONENT) / Math.abs(mu));
    }
    return best;
  };
  return [centre - reach(-1), centre + reach(1)];
}

/**
 * log E[e^(μ(L − centre))] of one step, an upper bound; Infinity if it overflows. The weights are powers, which err by two roundings a node.
 */
function logCentredMoment({ mass, step, centre }: TiltedTable, mu: number): number {
  let sum = 0;
  const add = (begin: number, direction: 1 | -1) => {
    const factor = Math.exp(mu * step * direction);
    let weight = Math.exp(mu * step * (begin - centre));
    for (let i = begin; i >= 0 && i < mass.length; i += direction) {
      if (mass[i]! > 0) sum += mass[i]! * weight;
      weight *= factor;
    }
  };
  add(centre, 1);
  add(centre - 1, -1);
  return Math.log(sum);
}

function foldedMass({ mass, first }: TiltedTable, { size }: FFT): Float64Array {
  const folded = new Float64Array(size);
  for (let i = 0; i < mass.length; i++) folded[modulo(first + i, size)]! += mass[i]!;
  return folded;
}

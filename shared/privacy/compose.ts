import FFT from "fft.js";
import type { LossTable } from "./loss-table.ts";

/** A table and how often it is composed with itself. */
export interface RepeatedTable {
  readonly table: LossTable;
  readonly steps: number;
}

/**
 * The composed loss distribution, exponentially tilted: under P the loss `first + i·step` has probability
 * `tilted[i] · e^(logMoment − tilt·loss)`. `outside` bounds, in the tilted measure, what lies outside of the window (and was
 * folded into it by the circular convolution) and what rounding may have changed.
 */
export interface ComposedLoss {
  readonly first: number;
  readonly step: number;
  readonly tilted: Float64Array;
  readonly tilt: number;
  readonly logMoment: number;
  readonly outside: number;
  readonly infinite: number;
}

/** −log of the tilted probability that a window may leave out at each end: e^-30 = 1e-13. */
const WINDOW_EXPONENT = 30;
/** Relative rounding error a step of the spectrum's power, with a margin of about ten. */
const ROUNDING_A_STEP = 5e-15;

/**
 * Composes tables of one common step by one FFT: the tilted masses' spectra to the power of their steps, multiplied.
 * Tilting by e^(tilt·loss) moves the window to the tail where δ is decided, so rounding errors are relative to that tail and
 * not to 1; it is undone exactly afterwards.
 * @param tilt λ ≥ 0
 * @param maxSize most nodes of the window, a power of two
 * @returns undefined if the window needs more
 */
export function compose(tables: readonly RepeatedTable[], tilt: number, maxSize: number): ComposedLoss | undefined {
  const step = tables[0]!.table.step;
  const parts = tables.map((table) => tiltTable(table, tilt));
  const offset = parts.reduce((sum, part) => sum + part.steps * part.offset, 0);
  const [low, high] = windowOf(parts);
  const size = 2 ** Math.max(4, Math.ceil(Math.log2((high - low) / step + 2)));
  if (!(size <= maxSize)) return undefined;
  const begin = Math.floor((low - offset) / step);

  const spectrum = new Float64Array(2 * size);
  for (let i = 0; i <= size; i += 2) spectrum[i] = 1;
  const fft = fftOf(size);
  for (const { mass, first, steps } of parts) multiplyByPower(spectrum, spectrumOf(fft, size, mass, first), steps);
  fft.completeSpectrum(spectrum);
  const composed = new Float64Array(2 * size);
  fft.inverseTransform(composed, spectrum);

  const tilted = new Float64Array(size);
  for (let i = 0; i < size; i++) tilted[i] = Math.max(0, composed[2 * modulo(begin + i, size)]!);
  const steps = parts.reduce((sum, part) => sum + part.steps, 0);
  return {
    first: offset + begin * step,
    step,
    tilted,
    tilt,
    logMoment: parts.reduce((sum, part) => sum + part.steps * part.logMoment, 0),
    outside: 2 * Math.exp(-WINDOW_EXPONENT) + ROUNDING_A_STEP * (steps + Math.log2(size)),
    infinite: parts.reduce((sum, part) => sum + part.steps * part.infinite, 0),
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

function tiltTable({ table, steps }: RepeatedTable, tilt: number): TiltedTable {
  const mass = new Float64Array(table.mass.length);
  const lossOf = (i: number) => table.offset + (table.first + i) * table.step;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < mass.length; i++) {
    mass[i] = Math.log(table.mass[i]!) + tilt * lossOf(i);
    max = Math.max(max, mass[i]!);
  }
  let [total, mean] = [0, 0];
  for (let i = 0; i < mass.length; i++) {
    mass[i] = Math.exp(mass[i]! - max);
    total += mass[i]!;
    mean += mass[i]! * i;
  }
  const centre = Math.round(mean / total);
  let variance = 0;
  for (let i = 0; i < mass.length; i++) {
    mass[i]! /= total;
    variance += mass[i]! * ((i - centre) * table.step) ** 2;
  }
  return { ...table, mass, steps, logMoment: max + Math.log(total), centre, variance };
}

/**
 * An interval of the composed tilted loss outside of which lies at most e^-30 at each end, by Chernoff's bound
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

/** log E[e^(μ(L − centre))] of one step; Infinity if it overflows. */
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

function spectrumOf(fft: FFT, size: number, mass: Float64Array, first: number): Float64Array {
  const folded = new Float64Array(size);
  for (let i = 0; i < mass.length; i++) folded[modulo(first + i, size)]! += mass[i]!;
  const spectrum = new Float64Array(2 * size);
  fft.realTransform(spectrum, folded);
  return spectrum;
}

/** spectrum ← spectrum · factor^power, elementwise over the first half, which is all that real numbers have. */
function multiplyByPower(spectrum: Float64Array, factor: Float64Array, power: number): void {
  for (let i = 0; i <= spectrum.length / 2; i += 2) {
    const [re, im] = [factor[i]!, factor[i + 1]!];
    const size = Math.exp((power / 2) * Math.log(re * re + im * im));
    const angle = power * Math.atan2(im, re);
    const [a, b] = [size * Math.cos(angle), size * Math.sin(angle)];
    const [x, y] = [spectrum[i]!, spectrum[i + 1]!];
    spectrum[i] = x * a - y * b;
    spectrum[i + 1] = x * b + y * a;
  }
}

let lastFft: { size: number; fft: FFT } | undefined;
/** The transform of a size; the last one is kept, since its tables take longer to make than to use. */
function fftOf(size: number): FFT {
  if (lastFft?.size !== size) lastFft = { size, fft: new FFT(size) };
  return lastFft.fft;
}

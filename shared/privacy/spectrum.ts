import FFT from "fft.js";
import { ROUNDOFF, UNDERFLOW } from "./rounding.ts";

/** A product of spectra of real sequences (their first half, interleaved) and how far rounding can have moved each number. */
export interface Spectrum {
  readonly value: Float64Array;
  readonly error: Float64Array;
}

/**
 * What one of the log₂(size) levels of a transform adds to the error, relative: a twiddle factor from cos and sin of a rounded angle (10 roundoffs), a
 * complex product (3) and a sum (1), with a margin. Each output is a sum over inputs times a product of twiddle factors, one a level, so it errs by at
 * most levels·LEVEL·Σ|inputs|; and each level is a multiple of a unitary one, so the error's L2 norm is at most levels·LEVEL times the
 * output's (Higham 2002, "Accuracy and stability of numerical algorithms", Theorem 24.2).
 */
const LEVEL = 20 * ROUNDOFF;

/** The spectrum of the sequence 1, 0, 0, … */
export function emptySpectrum(size: number): Spectrum {
  const value = new Float64Array(2 * size);
  for (let i = 0; i <= size; i += 2) value[i] = 1;
  return { value, error: new Float64Array(size / 2 + 1) };
}

/** Below this absolute value a factor's powers are bounded by this number's. */
const SMALL_FACTOR = 2 ** -10;

/**
 * spectrum ← spectrum · (transform of a mass)^power, elementwise over the first half, which is all that real numbers have.
 * @param mass not negative, with a sum of about 1, `[size]`
 */
export function multiplyByPower(spectrum: Spectrum, fft: FFT, mass: Float64Array, power: number): void {
  const { value, error } = spectrum;
  // Where sampling is rare nearly all mass is at node 0. What it adds to the spectrum is a constant, and only the rest has the transform's errors.
  const atom = mass[0]!;
  const others = mass.with(0, 0);
  const rest = others.reduce((sum, each) => sum + each, 0);
  const factor = new Float64Array(value.length);
  fft.realTransform(factor, others);
  // Folding masses onto a node adds them, too; their sum is within a millionth of 1.
  const factorError = ((Math.log2(fft.size) * LEVEL + 8 * ROUNDOFF) * rest + 2 * ROUNDOFF) * (1 + 1e-6);
  const smallPower = (SMALL_FACTOR + factorError) ** (power - 1);
  for (let k = 0, i = 0; i <= fft.size; k++, i += 2) {
    const [re, im] = [factor[i]! + atom, factor[i + 1]!];
    const length = Math.sqrt(re * re + im * im);
    const exponent = power * Math.log(length);
    const size = Math.exp(exponent);
    const angle = power * Math.atan2(im, re);
    const [a, b] = [size * Math.cos(angle), size * Math.sin(angle)];
    // (f + e)^T − f^T ≤ T·e·(f + e)^(T − 1); then what length, logarithm, angle, their products with T, and e^ round.
    const nextPower =
      length < SMALL_FACTOR ? smallPower : (size / length) * Math.exp(((power - 1) * factorError) / length);
    const evaluated =
      size > 0 ? size * (3 * power + 6 * (Math.abs(exponent) + Math.abs(angle)) + 24) * ROUNDOFF : UNDERFLOW;
    const powerError = (power * factorError * nextPower + evaluated) * (1 + 1e-6);
    const [x, y] = [value[i]!, value[i + 1]!];
    error[k] = (size + powerError) * error[k]! + Math.sqrt(x * x + y * y) * (powerError + 8 * ROUNDOFF * size);
    value[i] = x * a - y * b;
    value[i + 1] = x * b + y * a;
  }
}

/**
 * The sequence of a spectrum, complex numbers interleaved, and a bound on the sum of all its errors: at most √size times their L2 norm, which is that of
 * the spectrum's errors over √size, plus the transform's own. A spectrum of many steps has few numbers that aren't 0.
 */
export function inverseOf({ value, error }: Spectrum, fft: FFT): { composed: Float64Array; rounding: number } {
  let [errors, values] = [0, 0];
  for (let k = 0; k < error.length; k++) {
    errors += 2 * error[k]! ** 2;
    values += 2 * (value[2 * k]! ** 2 + value[2 * k + 1]! ** 2);
  }
  fft.completeSpectrum(value);
  const composed = new Float64Array(value.length);
  fft.inverseTransform(composed, value);
  const own = Math.log2(fft.size) * LEVEL * (Math.sqrt(values) + Math.sqrt(errors));
  return { composed, rounding: (Math.sqrt(errors) + own) * (1 + 1e-6) };
}

let lastFft: { size: number; fft: FFT } | undefined;
/** The transform of a size; the last one is kept, since its tables take longer to make than to use. */
export function fftOf(size: number): FFT {
  if (lastFft?.size !== size) lastFft = { size, fft: new FFT(size) };
  return lastFft.fft;
}

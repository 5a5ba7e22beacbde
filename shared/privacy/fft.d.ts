declare module "fft.js" {
  /** Fast Fourier transform of a power of two; complex numbers are interleaved. */
  export default class FFT {
    constructor(size: number);
    readonly size: number;
    /** Fills the first half of the spectrum of `size` real numbers. */
    realTransform(spectrum: Float64Array, data: Float64Array): void;
    /** Fills the second half by symmetry. */
    completeSpectrum(spectrum: Float64Array): void;
    /** With the factor 1/size. */
    inverseTransform(data: Float64Array, spectrum: Float64Array): void;
  }
}

/**
 * What double precision may do to a bound. The model: +, −, ×, ÷ and √ err by at most half a unit in the last place (IEEE 754), and exp, log, log1p,
 * expm1, sin, cos and atan2 by at most two (JavaScript engines use fdlibm or the C library's, below one). Every bound of this
 * folder adds what that allows in the worst case, derived where it is added; README.md has them in one table.
 */

/** Half a unit in the last place, relative: 2^-53. */
export const ROUNDOFF = 2 ** -53;

/** Far below every probability that matters, far above what underflow loses. */
export const UNDERFLOW = 1e-300;

/**
 * The relative error of {@link normalCdf} at −|z|, if z itself errs by 3 roundoffs. The tail's slope is at most |z| + 1 of itself, so z's error counts
 * 3(z² + |z|) at most; exp(−z²/2) counts z²/2 + 4; the trapezoidal sum is 13 positive terms and a residue that is never half of it (32), and its
 * discretisation error e^(−π²/h²) is below one; the series below 1 has at most 20 positive terms (60) and is taken from e^(x²), which
 * enlarges its error up to 7 times (420).
 */
export const tailError = (z: number) => (4 * z * z + 4 * Math.abs(z) + 512) * ROUNDOFF;

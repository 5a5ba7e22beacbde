/** Bytes of one element of every safetensors type that has whole bytes. */
export const DTYPE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
};

/** The types that `toFloat32` reads: each of their values is a 32-bit float too, so nothing is rounded. */
export type FloatDtype = "F32" | "F16" | "BF16";

export function isFloatDtype(dtype: string): dtype is FloatDtype {
  return dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/**
 * The little-endian elements of `bytes` as 32-bit floats (a copy). F32 keeps every bit, NaN payloads included.
 *
 * @param bytes a whole number of elements; any alignment
 */
export function toFloat32(bytes: Uint8Array, dtype: FloatDtype): Float32Array {
  // A fresh buffer is aligned; every machine that runs Node or workerd is little-endian.
  const { buffer } = new Uint8Array(bytes);
  if (dtype === "F32") return new Float32Array(buffer);
  const halves = new Uint16Array(buffer);
  const floats = new Float32Array(halves.length);
  if (dtype === "F16") for (let i = 0; i < halves.length; i++) floats[i] = halfToNumber(halves[i]!);
  // Loops, since `from` with a function takes ten times as long on a model's weights.
  else for (let i = 0, bits = new Uint32Array(floats.buffer); i < halves.length; i++) bits[i] = halves[i]! << 16;
  return floats;
}

/** IEEE 754 binary16: 1 sign, 5 exponent (bias 15) and 10 fraction bits. */
function halfToNumber(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

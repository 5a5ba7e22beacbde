import { expect, test } from "vitest";
import { toFloat32 } from "../../../shared/prompt/dtype.ts";

test("every half-precision number is read exactly", () => {
  // Oracle: DataView's own conversion (ECMAScript 2025).
  const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const view = new DataView(bits.buffer) as DataView & { getFloat16(at: number, little: boolean): number };
  const expected = Float32Array.from(bits, (_, i) => view.getFloat16(2 * i, true));
  expect(toFloat32(new Uint8Array(bits.buffer), "F16")).toEqual(expected);
});

test("a bfloat16 number is the upper half of a float", () => {
  const floats = new Float32Array([1, -2.5, 0, -0, Infinity, 2 ** -126, 3.140625]);
  const halves = Uint16Array.from(new Uint32Array(floats.buffer), (bits) => bits >>> 16);
  expect(toFloat32(new Uint8Array(halves.buffer), "BF16")).toEqual(floats);
});

test("bytes need not be aligned, and the result is a copy", () => {
  const bytes = new Uint8Array(9);
  new DataView(bytes.buffer).setFloat32(1, 1.5, true);
  const values = toFloat32(bytes.subarray(1), "F32");
  bytes.fill(0);
  expect(values).toEqual(new Float32Array([1.5, 0]));
});

/**
 * Activations' slopes in float16 with every operator's result rounded to it, as GPUs compute them: a CPU has no such kernels, and
 * ONNX Runtime goes through a chain of them in float32 there.
 */
import { expect, test } from "vitest";
import { gradients } from "../../../shared/graph/gradients.ts";
import { gelu, geluTanh, silu } from "../../../shared/graph/operators/elementwise.ts";
import { input, type Tensor } from "../../../shared/graph/tensor.ts";
import { normalCdf } from "../../../shared/privacy/normal.ts";

/** What DataView has since ES2025. */
type HalfView = DataView & {
  getFloat16(at: number, little: boolean): number;
  setFloat16(at: number, value: number, little: boolean): void;
};

const view = new DataView(new ArrayBuffer(2)) as HalfView;
function round(value: number): number {
  view.setFloat16(0, value, true);
  return view.getFloat16(0, true);
}

/** All numbers of float16. */
const numbers = Array.from({ length: 2 ** 16 }, (_, bits) => {
  view.setUint16(0, bits, true);
  return view.getFloat16(0, true);
}).filter(Number.isFinite);

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const erf = (x: number) => 2 * normalCdf(x * Math.SQRT2) - 1;
const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const twiceU = (x: number) => 2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
const tanhForm = (x: number) => (Math.abs(x) > 1e3 ? Math.max(x, 0) : x * sigmoid(twiceU(x)));

/** The operators that the slopes are made of, exactly. */
const EXACT: Readonly<Record<string, (...values: number[]) => number>> = {
  Add: (a, b) => a! + b!,
  Sub: (a, b) => a! - b!,
  Mul: (a, b) => a! * b!,
  Neg: (a) => -a!,
  Min: (a, b) => Math.min(a!, b!),
  Exp: (a) => Math.exp(a!),
  Erf: (a) => erf(a!),
  Sigmoid: (a) => sigmoid(a!),
  Cast: (a) => a!,
};

/** The value of a tensor that is made of one number, every step rounded. */
function value({ source }: Tensor, x: number, known: Map<object, number>): number {
  if (source.kind === "input") return x;
  if (source.kind === "constant") return round(Number(source.data[0]));
  if (source.kind !== "node") throw new Error(`not for a ${source.kind}`);
  const { node } = source;
  const found = known.get(node);
  if (found !== undefined) return found;
  const inputs = node.inputs.map((tensor) => value(tensor, x, known));
  const { type } = node.operator;
  const exact =
    type === "Gelu"
      ? node.attributes.approximate === "tanh"
        ? tanhForm
        : (a: number) => a * normalCdf(a)
      : EXACT[type];
  if (!exact) throw new Error(`there is no ${type} here`);
  const result = round(exact(...inputs));
  known.set(node, result);
  return result;
}

test.each([
  ["gelu", gelu, (x: number) => normalCdf(x) + x * density(x)],
  [
    "GELU's tanh form",
    geluTanh,
    (x: number) => {
      const s = sigmoid(twiceU(x));
      const steepness = 2 * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
      return s + (Math.abs(x) > 20 ? 0 : x * s * (1 - s) * steepness);
    },
  ],
  ["silu", silu, (x: number) => sigmoid(x) * (1 + x * sigmoid(-x))],
] as const)("the slope of %s is near the true one for every number", (_, activation, slope) => {
  const x = input("x", "float16", []);
  const [gradient] = gradients(activation(x), [x]);
  let worst = 0;
  for (const number of numbers) {
    const error = Math.abs(value(gradient!, number, new Map()) - slope(number));
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }
  // A few roundings of numbers up to 1, of 2⁻¹¹ each.
  expect(worst).toBeLessThan(8 * 2 ** -11);
});

/** What a graph holds, counted by hand. test/client/memory.test.ts compares the whole estimate with a process. */
import { expect, test } from "vitest";
import { gradients } from "../../../shared/graph/gradients.ts";
import { estimateMemory, packsWeights } from "../../../shared/graph/memory.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { gather } from "../../../shared/graph/operators/indexing.ts";
import { cast, reshape } from "../../../shared/graph/operators/layout.ts";
import { linear } from "../../../shared/graph/operators/linear.ts";
import { gemm, matmul } from "../../../shared/graph/operators/matrix.ts";
import { reduceSum } from "../../../shared/graph/operators/reduction.ts";
import { PER_EXAMPLE } from "../../../shared/graph/shape.ts";
import { type DType, input, type Tensor, variable } from "../../../shared/graph/tensor.ts";
import { elementsOf } from "../../../shared/graph/traversal.ts";

function weight(dtype: DType, shape: readonly number[]): Tensor {
  return { dtype, shape, source: { kind: "weight", name: "w", location: { file: "/w", offset: 0, length: 1 } } };
}

const x = variable("x", [10, 300]);

test("a float32 matrix is packed for each product that it is in, forward and backward", () => {
  const loss = reduceSum(gemm(x, weight("float32", [300, 200])));
  expect(estimateMemory({ outputs: { loss } }, {}).weights).toBe(4 * 300 * 200);
  expect(estimateMemory({ outputs: { loss, g: gradients(loss, [x])[0]! } }, {}).weights).toBe(2 * 4 * 300 * 200);
});

test("a matrix that is widened when the graph is loaded leaves room between its pieces", () => {
  const y = gemm(x, cast(weight("bfloat16", [300, 200]), "float32"));
  expect(estimateMemory({ outputs: { y } }, {}).weights).toBeCloseTo(1.1 * 4 * 300 * 200);
});

test("products that pack a matrix alike share what is packed", () => {
  const w = weight("float32", [300, 200]);
  const twice = { a: gemm(x, w), b: gemm(mul(x, 2), w) };
  expect(estimateMemory({ outputs: twice }, {}).weights).toBe(4 * 300 * 200);
  expect(estimateMemory({ outputs: { ...twice, c: matmul(x, w) } }, {}).weights).toBe(2 * 4 * 300 * 200);
});

test("rows of a table are read from its file as they lie, a piece of the file around each", () => {
  const rows = (dtype: DType) => gather(cast(weight(dtype, [10_000, 50]), "float32"), input("i", "int32", ["B"]));
  for (const dtype of ["float32", "bfloat16"] as const) {
    expect(estimateMemory({ outputs: { rows: rows(dtype) } }, { B: 3 })).toMatchObject({
      weights: 0,
      mapped: 3 * 2 ** 16,
    });
  }
  expect(estimateMemory({ outputs: { rows: rows("bfloat16") } }, { B: 300 }).mapped).toBe(2 * 10_000 * 50);
});

test("weights are packed unless they would take more than a quarter of the memory", () => {
  const graph = { outputs: { y: gemm(x, weight("float32", [300, 200])) } };
  expect(packsWeights(graph, 4 * 240_000)).toBe(true);
  expect(packsWeights(graph, 4 * 240_000 - 1)).toBe(false);
  expect(packsWeights({ ...graph, alwaysPacked: true }, 1)).toBe(true);
});

test("products with blocks are packed beside a large head, as long as there is room for all", () => {
  const blocks = { bits: 4, block: 32, product: "unpacked" } as const;
  const part = (name: string, dtype: DType, shape: readonly number[]): Tensor => {
    const { source, ...tensor } = weight(dtype, shape);
    return { ...tensor, source: { ...source, name } as Tensor["source"] };
  };
  const stored = {
    ...blocks,
    values: part("values", "uint8", [300, 10, 16]),
    scales: part("scales", "float32", [300, 10]),
    zeroPoints: part("zero_points", "uint8", [300, 5]),
  };
  const matrix: Tensor = { dtype: "float32", shape: [300, 300], source: { kind: "narrow", stored } };
  const [copy, head] = [300 * 160, 4 * 300 * 200];
  const alone = { outputs: { y: linear(x, matrix, { transposed: true }) } };
  expect(packsWeights(alone, 2 * copy)).toBe(true);
  expect(packsWeights(alone, 2 * copy - 1)).toBe(false);
  const graph = { outputs: { y: gemm(alone.outputs.y, weight("float32", [300, 200])) } };
  expect(packsWeights(graph, (4 / 3) * (copy + head))).toBe(true);
  expect(packsWeights(graph, (4 / 3) * (copy + head) - 2)).toBe(false);
});

test("a matrix in 16 bits is read where it lies, and wide for one product at a time", () => {
  const stored = weight("bfloat16", [300, 200]);
  const narrow: Tensor = { dtype: "float32", shape: [300, 200], source: { kind: "narrow", stored } };
  const loss = reduceSum(linear(linear(x, narrow), narrow, { transposed: true }));
  const { weights, mapped, activations } = estimateMemory({ outputs: { g: gradients(loss, [x])[0]! } }, {});
  expect([weights, mapped]).toEqual([0, 2 * 300 * 200]);
  // One of the four is wide at a time, beside a few rows of 300 and 200.
  expect(activations).toBeLessThan(1.2 * (4 * 300 * 200 + 6 * 4 * 10 * 300));
  expect(activations).toBeGreaterThan(4 * 300 * 200);
});

test("a prompt's gradients for each example have the batch's size, its forward pass has not", () => {
  const prompt = reshape(x, [PER_EXAMPLE, 10, 300]);
  const forward = mul(prompt, 2);
  const each = matmul(input("texts", "float32", ["B", 7, 10]), forward);
  const gradient = gradients(reduceSum(each), [prompt])[0]!;
  const elements = elementsOf([gradient, each], { B: 5 });
  expect(elements(forward)).toBe(10 * 300);
  expect(elements(each)).toBe(5 * 7 * 300);
  expect(elements(gradient)).toBe(5 * 10 * 300);
});

/** What a graph holds, counted by hand. test/client/memory.test.ts compares the whole estimate with a process. */
import { expect, test } from "vitest";
import { gradients } from "../../../shared/graph/gradients.ts";
import { estimateMemory, packsWeights } from "../../../shared/graph/memory.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import { gather } from "../../../shared/graph/operators/indexing.ts";
import { cast, reshape } from "../../../shared/graph/operators/layout.ts";
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

test("rows of a table are read from its file; a 16-bit table is widened whole", () => {
  const rows = (dtype: DType) => gather(cast(weight(dtype, [1000, 50]), "float32"), input("i", "int32", ["B"]));
  expect(estimateMemory({ outputs: { rows: rows("float32") } }, { B: 3 }).weights).toBe(0);
  expect(estimateMemory({ outputs: { rows: rows("bfloat16") } }, { B: 3 }).weights).toBe(4 * 1000 * 50);
});

test("weights are packed unless they would take more than half of the memory", () => {
  const graph = { outputs: { y: gemm(x, weight("float32", [300, 200])) } };
  expect(packsWeights(graph, 2 * 240_000)).toBe(true);
  expect(packsWeights(graph, 2 * 240_000 - 1)).toBe(false);
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

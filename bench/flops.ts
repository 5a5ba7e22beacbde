import type { Graph } from "../shared/graph/engine.ts";
import { elementsOf, outputsOf, reached } from "../shared/graph/traversal.ts";

/**
 * Floating-point operations of all matrix products of a graph, two for each multiplication and addition.
 * @param sizes of the named dimensions of its inputs
 */
export function productOperations(graph: Graph, sizes: Readonly<Record<string, number>>): number {
  const elements = elementsOf(outputsOf(graph), sizes);
  let operations = 0;
  for (const { operator, inputs, outputs, attributes } of reached(outputsOf(graph)).nodes) {
    if (operator.type !== "Gemm" && operator.type !== "MatMul") continue;
    const inner = inputs[0]!.shape.at(operator.type === "Gemm" && attributes.transA === 1 ? 0 : -1)!;
    operations += 2 * elements(outputs[0]!) * elements({ ...inputs[0]!, shape: [inner] });
  }
  return operations;
}

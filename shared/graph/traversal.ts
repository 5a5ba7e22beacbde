import type { Graph } from "./graph.ts";
import { type Dim, PER_EXAMPLE, terms } from "./shape.ts";
import type { Node, Tensor } from "./tensor.ts";

/** Everything that a graph computes. */
export function outputsOf({ outputs, updates = [], appends = [] }: Graph): Tensor[] {
  return [...Object.values(outputs), ...[...updates, ...appends].map(({ next }) => next)];
}

/** All nodes that outputs reach, inputs before the nodes that use them, and what isn't made by a node. */
export function reached(outputs: readonly Tensor[]): {
  readonly nodes: readonly Node[];
  readonly leaves: ReadonlySet<Tensor>;
} {
  const nodes = new Set<Node>();
  const leaves = new Set<Tensor>();
  const stack = outputs.map((tensor) => ({ tensor, done: false })).reverse();
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { tensor, done } = next;
    const { source } = tensor;
    if (source.kind !== "node") leaves.add(tensor);
    else if (done) nodes.add(source.node);
    else if (!nodes.has(source.node)) {
      stack.push({ tensor, done: true });
      for (const input of [...source.node.inputs].reverse()) stack.push({ tensor: input, done: false });
    }
  }
  return { nodes: [...nodes], leaves };
}

/** A function that says how many elements a tensor of a graph has when it runs. */
export type Elements = (tensor: Pick<Tensor, "shape" | "source">) => number;

/**
 * Counts the elements of a graph's tensors.
 * @param sizes of the inputs' named dimensions; one that isn't there counts as 1. `PER_EXAMPLE` is 1 up to where a gradient of
 *   the batch flows into such a tensor, and from there on `sizes.B`
 */
export function elementsOf(outputs: readonly Tensor[], sizes: Readonly<Record<string, number>>): Elements {
  const apart = new Set<Node>();
  const isApart = ({ source }: Pick<Tensor, "source">) => source.kind === "node" && apart.has(source.node);
  for (const node of reached(outputs).nodes) {
    const meets =
      node.outputs[0]!.shape.some(isPerExample) && node.inputs.some(({ shape }) => shape.some(isOfTheBatch));
    if (meets || node.inputs.some(isApart)) apart.add(node);
  }
  return (tensor) => {
    const sizeOf = (name: string) =>
      name === PER_EXAMPLE ? (isApart(tensor) ? (sizes.B ?? 1) : 1) : (sizes[name] ?? 1);
    const size = (dim: Dim) =>
      terms(dim).reduce((sum, { coefficient, names }) => sum + names.reduce((a, n) => a * sizeOf(n), coefficient), 0);
    return tensor.shape.reduce<number>((product, dim) => product * size(dim), 1);
  };
}

const isPerExample = (dim: Dim) => terms(dim).some(({ names }) => names.includes(PER_EXAMPLE));
const isOfTheBatch = (dim: Dim) => terms(dim).some(({ names }) => names.includes("B"));

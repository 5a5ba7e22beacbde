import { totalmem } from "node:os";
import type { Graph } from "./graph.ts";
import type { DType, Tensor } from "./tensor.ts";
import { type Elements, elementsOf, outputsOf, reached } from "./traversal.ts";

/** What Node, the command line and ONNX Runtime take before there is a graph. Measured, like the next one. */
const PROCESS_BYTES = 125e6;
/** Of the activations, what lies between the pieces of memory that ONNX Runtime's arena gives out. */
const ARENA_WASTE = 1.2;
export const ELEMENT_BYTES: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int32: 4,
  int64: 8,
  bool: 1,
  uint8: 1,
  uint4: 0.5,
};
/** Operators whose output is their first input's memory. */
const VIEWS = new Set(["Reshape", "Identity"]);
/** Operators that write their output over an input of its size that nothing else needs. */
const IN_PLACE = new Set(["Add", "Sub", "Mul", "Div", "Neg", "Exp", "Sqrt", "Sigmoid", "Softmax", "Where"]);

/** Bytes of memory that a graph will need. */
export interface Memory {
  /** Whether weights are packed. */
  readonly packed: boolean;
  /** Weights that are held: packed for matrix products, or widened to float32. What is read from its file is not among them. */
  readonly weights: number;
  /** The most that is alive at one time while the graph runs. */
  readonly activations: number;
  /** Both, variables, and the process around them. */
  readonly total: number;
  /** What a run brings to a GPU and back, where there is one: the binding keeps variables in the machine's memory. */
  readonly copied: number;
}

/**
 * What a graph will need, before it is loaded.
 * @param sizes the named dimensions of its inputs
 */
export function estimateMemory(graph: Graph, sizes: Readonly<Record<string, number>>): Memory {
  const outputs = outputsOf(graph);
  const packed = packsWeights(graph);
  const weights = heldWeights(outputs, packed);
  const kept = new Set([...reached(outputs).leaves].filter(({ source }) => source.kind === "variable"));
  const elements = elementsOf(outputs, sizes);
  const variables = [...kept].reduce((sum, tensor) => sum + 2 * bytesOf(tensor, elements), 0);
  const written = (graph.updates ?? []).reduce((sum, { variable }) => sum + bytesOf(variable, elements), 0);
  const activations = ARENA_WASTE * peak(outputs, elements);
  return {
    packed,
    weights,
    activations,
    total: PROCESS_BYTES + weights + variables + activations,
    copied: variables / 2 + written,
  };
}

/**
 * Whether weights are packed for matrix products when the graph is loaded, which makes those a quarter faster and takes memory for
 * every product that a weight is in. Not if they would take more than half of the machine's.
 * @param memory the machine's, in bytes
 */
export function packsWeights(graph: Graph, memory = machineMemory()): boolean {
  return heldWeights(outputsOf(graph), true) <= memory / 2;
}

/** Bytes of memory that this process may take. */
export function machineMemory(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}

function heldWeights(outputs: readonly Tensor[], packed: boolean): number {
  const copies = new Map<Tensor, { products: number; others: number }>();
  for (const { operator, inputs } of reached(outputs).nodes) {
    inputs.forEach((tensor, i) => {
      const weight = weightOf(tensor);
      if (!weight || operator.type === "Cast") return;
      const uses = copies.get(weight) ?? { products: 0, others: 0 };
      copies.set(weight, uses);
      if (packed && i === 1 && (operator.type === "Gemm" || operator.type === "MatMul")) uses.products += 1;
      else uses.others += 1;
    });
  }
  let bytes = 0;
  for (const [weight, { products, others }] of copies) {
    const size = weight.shape.reduce<number>((a, b) => a * Number(b), ELEMENT_BYTES.float32);
    bytes += size * products;
    if (others > 0 && weight.dtype !== "float32") bytes += size;
  }
  return bytes;
}

/** The weight that a tensor is, or is widened from. */
function weightOf({ source, ...tensor }: Tensor): Tensor | undefined {
  if (source.kind === "weight") return { source, ...tensor };
  if (source.kind === "node" && source.node.operator.type === "Cast") return weightOf(source.node.inputs[0]!);
  return undefined;
}

/** The most bytes of node outputs that are alive at one time if the nodes run in order. */
function peak(outputs: readonly Tensor[], elements: Elements): number {
  const { nodes } = reached(outputs);
  const homes = new Map<Tensor, Tensor>();
  const homeOf = (tensor: Tensor): Tensor => (homes.has(tensor) ? homeOf(homes.get(tensor)!) : tensor);
  const waiting = new Map<Tensor, number>();
  for (const node of nodes) {
    if (VIEWS.has(node.operator.type)) homes.set(node.outputs[0]!, homeOf(node.inputs[0]!));
    for (const tensor of new Set(node.inputs.map(homeOf))) waiting.set(tensor, (waiting.get(tensor) ?? 0) + 1);
  }
  for (const tensor of outputs) waiting.set(homeOf(tensor), Number.POSITIVE_INFINITY);
  let [alive, most] = [0, 0];
  const size = (tensor: Tensor) => (tensor.source.kind === "node" && !weightOf(tensor) ? bytesOf(tensor, elements) : 0);
  for (const node of nodes) {
    const inputs = [...new Set(node.inputs.map(homeOf))];
    const over =
      IN_PLACE.has(node.operator.type) &&
      inputs.find((input) => waiting.get(input) === 1 && size(input) === size(node.outputs[0]!));
    if (over) {
      homes.set(node.outputs[0]!, over);
      waiting.set(over, 1 + (waiting.get(node.outputs[0]!) ?? 0));
    } else if (!VIEWS.has(node.operator.type)) {
      for (const output of node.outputs) alive += waiting.has(output) ? size(output) : 0;
    }
    most = Math.max(most, alive);
    for (const input of inputs) {
      const left = waiting.get(input)! - 1;
      waiting.set(input, left);
      if (left === 0) alive -= size(input);
    }
  }
  return most;
}

function bytesOf(tensor: Tensor, elements: Elements): number {
  return elements(tensor) * ELEMENT_BYTES[tensor.dtype];
}

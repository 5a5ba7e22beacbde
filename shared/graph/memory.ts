import { totalmem } from "node:os";
import type { Graph } from "./graph.ts";
import type { DType, Node, Tensor } from "./tensor.ts";
import { type Elements, elementsOf, outputsOf, reached } from "./traversal.ts";

/** Native code: Node, ONNX Runtime and the thread of an engine, touched as far as a run does. Measured, like the next four. */
const NATIVE_BYTES = 115e6;
/** What a node takes in a session, beside the values. */
const NODE_BYTES = 15e3;
/** The system brings so much of a file into memory around a row that is read. */
const READ_AHEAD = 2 ** 16;
/** Of the activations, what lies between the pieces of memory that ONNX Runtime's arena gives out. */
const ARENA_WASTE = 1.05;
/** The same where matrices are widened for one product each: large pieces come and go among small ones. */
const NARROW_WASTE = 1.15;
/** Of 16-bit weights that are widened when a graph is loaded, what lies between the pieces that they are made in. Measured at 1.1 billion of them: 6 to 25 %. */
const WIDENED_WASTE = 0.1;
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
  /** Weights that are held: packed for matrix products, or widened to float32. */
  readonly weights: number;
  /** Weights that are read where they lie: pages of their files, which the system may drop and read again. */
  readonly mapped: number;
  /** The most that is alive at one time while the graph runs. */
  readonly activations: number;
  /** All of these, variables, and the process around them. */
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
  const { held, widened, mapped } = placesOfWeights(outputs, packed);
  const weights = held + WIDENED_WASTE * widened;
  const { nodes, leaves } = reached(outputs);
  const elements = elementsOf(outputs, sizes);
  const kept = [...leaves].filter(({ source }) => source.kind === "variable");
  const values = kept.reduce((sum, tensor) => sum + bytesOf(tensor, elements), 0);
  const written = (graph.updates ?? []).reduce((sum, { variable }) => sum + bytesOf(variable, elements), 0);
  // What is replaced has a second buffer, and what grows is copied. The binding copies what a run has written once more.
  const variables = 2 * values + written;
  const widens = nodes.some(({ operator }) => operator.type === "Size");
  const activations =
    (widens ? NARROW_WASTE : ARENA_WASTE) *
    Math.max(peak(nodes, outputs, elements), peak(runtimeOrder(nodes), outputs, elements));
  const tables = readTables(nodes, elements);
  const fixed = processBytes() + NODE_BYTES * nodes.length;
  const running = weights + mapped + tables.rows + variables + activations;
  return {
    packed,
    weights,
    mapped: mapped + tables.rows,
    activations,
    total: fixed + Math.max(running, tables.folded),
    copied: values + written,
  };
}

/** What the process takes beside an engine's graphs: what its own program holds now (rows, tokens, a tokenizer) is measured, not guessed. */
function processBytes(): number {
  const { heapTotal, external } = process.memoryUsage();
  return NATIVE_BYTES + heapTotal + external;
}

/**
 * Bytes of tables of which rows are read: of pages that the rows lie in, and what is taken for a moment at loading to read those that are always the same
 * (ONNX Runtime holds the table twice then).
 */
function readTables(nodes: readonly Node[], elements: Elements): { rows: number; folded: number } {
  const read = new Map<Tensor, number>();
  let folded = 0;
  for (const { operator, inputs } of nodes) {
    const [table, indices] = inputs;
    if (!READ_ROWS.has(operator.type) || table!.source.kind !== "weight") continue;
    const size = table!.shape.reduce<number>((a, b) => a * Number(b), ELEMENT_BYTES[table!.dtype]);
    const always = indices!.source.kind === "constant";
    if (always) folded = Math.max(folded, 2 * size);
    else read.set(table!, Math.min(size, (read.get(table!) ?? 0) + READ_AHEAD * elements(indices!)));
  }
  return { rows: [...read.values()].reduce((a, b) => a + b, 0), folded };
}

/**
 * Whether weights are packed for matrix products when the graph is loaded, which makes those a quarter faster and takes memory for
 * every way in which a weight is packed. Not if they would take more than a quarter of the machine's. Products with weights in blocks are ten times slower
 * without it: a graph with some packs them in up to half of it, whatever else is packed with them, as long as a quarter is left. A graph can insist.
 * @param memory the machine's, in bytes
 */
export function packsWeights(graph: Graph, memory = machineMemory()): boolean {
  if (graph.alwaysPacked) return true;
  const { held, blocks } = placesOfWeights(outputsOf(graph), true);
  return blocks > 0 ? blocks <= memory / 2 && held <= (3 / 4) * memory : held <= memory / 4;
}

/** Bytes of memory that this process may take. */
export function machineMemory(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}

/** Operators that read a weight where it lies, and all of it. */
const READ_WHOLE = new Set(["Reshape", "DequantizeLinear"]);
/** Operators that read rows of it. */
const READ_ROWS = new Set(["Gather", "GatherBlockQuantized"]);

/** Bytes of weights that are held, of these the copies of blocks and what is widened from 16 bits, and of those that are read where they lie. */
function placesOfWeights(outputs: readonly Tensor[], packed: boolean) {
  // Products that pack a weight alike share what is packed: ONNX Runtime compares its bytes.
  const uses = new Map<string, { packings: Set<string>; others: number; mapped: boolean; weight: Tensor }>();
  for (const { operator, inputs, attributes } of reached(outputs).nodes) {
    inputs.forEach((tensor, i) => {
      const weight = weightOf(tensor);
      if (weight?.source.kind !== "weight" || operator.type === "Cast" || READ_ROWS.has(operator.type)) return;
      const { name, location } = weight.source;
      const key = `${location.file} ${location.offset} ${name}`;
      const use = uses.get(key) ?? { packings: new Set(), others: 0, mapped: false, weight };
      uses.set(key, use);
      if (READ_WHOLE.has(operator.type)) use.mapped = true;
      else if (operator.type === "MatMulNBits") {
        if (packed && i === 1) use.packings.add(operator.type);
        else use.mapped = true;
      } else if (packed && i === 1 && (operator.type === "Gemm" || operator.type === "MatMul"))
        use.packings.add(`${operator.type} ${attributes?.transB}`);
      else use.others += 1;
    });
  }
  let [held, blocks, widened, mapped] = [0, 0, 0, 0];
  for (const { weight, packings, others, mapped: read } of uses.values()) {
    const size = weight.shape.reduce<number>((a, b) => a * Number(b), 1);
    const stored = size * ELEMENT_BYTES[weight.dtype];
    const wide = weight.dtype === "uint8" ? stored : size * ELEMENT_BYTES.float32;
    const copies = packings.size + (others > 0 && weight.dtype !== "float32" ? 1 : 0);
    held += wide * copies;
    if (packings.has("MatMulNBits")) blocks += wide;
    if (weight.dtype === "float16" || weight.dtype === "bfloat16") widened += wide * copies;
    if (read || (others > 0 && weight.dtype === "float32")) mapped += stored;
  }
  return { held, blocks, widened, mapped };
}

/** The weight that a tensor is, or is widened from. */
function weightOf({ source, ...tensor }: Tensor): Tensor | undefined {
  if (source.kind === "weight") return { source, ...tensor };
  if (source.kind === "node" && source.node.operator.type === "Cast") return weightOf(source.node.inputs[0]!);
  return undefined;
}

/**
 * The nodes in the order that ONNX Runtime computes a graph of them in: back from the last node that no other needs, by the latest of a node's inputs
 * first (`Graph::ReverseDFSFrom`, by the nodes' numbers). What its optimiser fuses gets other numbers, so some nodes come elsewhere.
 * @param nodes inputs before the nodes that use them, as they are written
 */
function runtimeOrder(nodes: readonly Node[]): Node[] {
  const number = new Map(nodes.map((node, i) => [node, i]));
  const before = ({ inputs }: Node) =>
    [...new Set(inputs.flatMap(({ source }) => (source.kind === "node" ? [source.node] : [])))].sort(
      (a, b) => number.get(a)! - number.get(b)!,
    );
  const needed = new Set(nodes.flatMap(before));
  const stack = nodes.filter((node) => !needed.has(node)).map((node) => ({ node, done: false }));
  const entered = new Set<Node>();
  const order: Node[] = [];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { node, done } = next;
    if (done) order.push(node);
    else if (!entered.has(node)) {
      entered.add(node);
      stack.push({ node, done: true }, ...before(node).map((input) => ({ node: input, done: false })));
    }
  }
  return order;
}

/** The most bytes of node outputs that are alive at one time if the nodes run in order. */
function peak(nodes: readonly Node[], outputs: readonly Tensor[], elements: Elements): number {
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

/** Bytes as gigabytes, three digits of them at most. */
export function gb(bytes: number): string {
  return String(Number((bytes / 1e9).toPrecision(3)));
}

/** What a step moves in memory, counted from its graph: no weights are needed for it. */
import type { Graph } from "../shared/graph/engine.ts";
import { gradients } from "../shared/graph/gradients.ts";
import { ELEMENT_BYTES } from "../shared/graph/memory.ts";
import { reshape } from "../shared/graph/operators/layout.ts";
import { type Node, type Tensor, variable } from "../shared/graph/tensor.ts";
import { elementsOf, outputsOf, reached } from "../shared/graph/traversal.ts";
import { gpt2 } from "../shared/models/gpt2.ts";
import { llama } from "../shared/models/llama.ts";
import type { Family, Model, ModelConfig, Precision } from "../shared/models/model.ts";
import { transferStepLoss } from "../shared/training/transfer-loss.ts";
import { productOperations } from "./flops.ts";

/** Kernels of one operator, and the bytes that they read and write. */
export interface Traffic {
  readonly kernels: number;
  readonly bytes: number;
}

/** Their output is their input's memory, or a size. */
const NO_TRAFFIC = new Set(["Reshape", "Identity", "Shape"]);

/**
 * The kernels of a graph by operator, with what they read and write: every input once and every output once, as if no cache held
 * anything from one kernel to the next, which is what large tensors come to on a GPU. Of a table only the rows that are gathered count.
 * @param sizes of the named dimensions of its inputs
 */
export function trafficOf(graph: Graph, sizes: Readonly<Record<string, number>>): ReadonlyMap<string, Traffic> {
  const outputs = outputsOf(graph);
  const elements = elementsOf(outputs, sizes);
  const bytesOf = (tensors: Iterable<Tensor>) =>
    [...tensors].reduce((sum, tensor) => sum + elements(tensor) * ELEMENT_BYTES[tensor.dtype], 0);
  const found = new Map<string, Traffic>();
  for (const node of reached(outputs).nodes) {
    const { type } = node.operator;
    if (NO_TRAFFIC.has(type)) continue;
    const { kernels, bytes } = found.get(type) ?? { kernels: 0, bytes: 0 };
    const moved = bytesOf(node.outputs) + bytesOf(readBy(node));
    found.set(type, { kernels: kernels + 1, bytes: bytes + moved });
  }
  return found;
}

function readBy({ operator, inputs, outputs }: Node): Iterable<Tensor> {
  return operator.type === "Gather" ? [inputs[1]!, outputs[0]!] : new Set(inputs);
}

const GPT2_XL = { model_type: "gpt2", n_layer: 48, n_embd: 1600, n_head: 25, n_positions: 1024, vocab_size: 50_257 };
const TINY_LLAMA = {
  model_type: "llama",
  num_hidden_layers: 22,
  hidden_size: 2048,
  intermediate_size: 5632,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  vocab_size: 32_000,
  max_position_embeddings: 2048,
};
const PROMPT = 100;
const SIZES = { B: 8, T: 128 };
const PRODUCTS = new Set(["Gemm", "MatMul"]);

/** Prints kernels and bytes of a transfer step of GPT-2 XL and of a Llama of 1.1 billion parameters, without their weights. */
export function traffic(): void {
  for (const precision of ["float32", "float16"] as const) {
    printTraffic(`GPT-2 XL, ${precision}`, weightless(gpt2, GPT2_XL, precision));
    printTraffic(`Llama 1.1B, ${precision}`, weightless(llama, TINY_LLAMA, precision));
  }
}

function printTraffic(name: string, model: Model): void {
  const { width } = model.config;
  const prompt = variable("prompt", [PROMPT, width]);
  const criterion = { loss: "classes", alpha: 0.5, classes: [[318], [407]] } as const;
  const loss = transferStepLoss(model, criterion, reshape(prompt, [1, PROMPT, width]));
  const graph: Graph = { outputs: { loss, gradient: gradients(loss, [prompt])[0]! } };
  const all = [...trafficOf(graph, SIZES)].sort(([, a], [, b]) => b.bytes - a.bytes);
  const others = all.filter(([type]) => !PRODUCTS.has(type));
  const total = (part: typeof all, of: keyof Traffic) => part.reduce((sum, [, figures]) => sum + figures[of], 0);
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  console.log(
    `${name}, B${SIZES.B} T${SIZES.T} P${PROMPT}: ${(productOperations(graph, SIZES) / 1e12).toFixed(2)} TFLOP of products; ` +
      `${gigabytes(total(others, "bytes"))} GB in ${total(others, "kernels")} other kernels`,
  );
  const large = others.filter(([, { bytes }]) => bytes > 5e7);
  console.log(`  ${large.map(([type, { kernels, bytes }]) => `${type} ${gigabytes(bytes)} (${kernels})`).join(", ")}`);
}

/** A model whose weights lie nowhere: its graphs can be counted, not run. */
function weightless<C extends ModelConfig>(family: Family<C>, json: object, dtype: Precision): Model {
  const config = family.configure(json);
  const shapes = family.parameters(config);
  const location = { file: "", offset: 0, length: 0 };
  const made = new Map<string, Tensor>();
  return family.build(config, (name) => {
    const weight = made.get(name) ?? { dtype, shape: shapes[name]!, source: { kind: "weight", name, location } };
    made.set(name, weight);
    return weight;
  });
}

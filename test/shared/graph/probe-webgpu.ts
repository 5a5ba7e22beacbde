/**
 * Writes the WebGPU half of kernels.json: `node test/shared/graph/probe-webgpu.ts`, on a machine with a GPU or a software Vulkan
 * driver. The bundled provider itself is asked, once for every operator and type, whether it takes a model of that one operator.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { InferenceSession } from "onnxruntime-node";
import { encodeModel } from "../../../shared/graph/onnx.ts";
import { ELEMENT_TYPE } from "../../../shared/graph/tensor.ts";

interface Entry {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  webgpu: Record<string, string[]> | null;
}

const file = new URL("kernels.json", import.meta.url);
const list: { operators: Record<string, Entry> } = JSON.parse(readFileSync(file, "utf8"));

const OPSET = 20;
/** Ranks of the inputs where not all are matrices. */
const RANKS: Readonly<Record<string, readonly number[]>> = {
  Expand: [2, 1],
  Gather: [2, 1],
  Gemm: [2, 2, 1],
  LayerNormalization: [2, 1, 1],
  Range: [0, 0, 0],
  ReduceMax: [2, 1],
  ReduceSum: [2, 1],
  Reshape: [2, 1],
  Split: [2, 1],
};
const REDUCTION = { name: "reduction", type: 3, s: Buffer.from("add") };
/** Attributes that ONNX requires, or that kernels could differ by. */
const ATTRIBUTES: Readonly<Record<string, object>> = {
  Concat: { name: "axis", type: 2, i: 0 },
  ScatterElements: REDUCTION,
  ScatterND: REDUCTION,
};
/** What the other type constraints are while one is tried. */
const USUAL: Readonly<Record<string, string>> = {
  T: "float32",
  T1: "float32",
  T2: "float32",
  U: "float32",
  Tind: "int32",
};

/** Whether the provider takes an operator of these types by itself. */
async function takes(operator: string, { inputs, outputs }: Entry, types: Readonly<Record<string, string>>) {
  const element = (constraint: string) => ELEMENT_TYPE[(types[constraint] ?? constraint) as keyof typeof ELEMENT_TYPE];
  const value = (name: string, constraint: string, rank?: number) => {
    const dim = Array.from({ length: rank ?? 0 }, (_, i) => ({ dimParam: `${name}${i}` }));
    const shape = rank === undefined ? {} : { shape: { dim } };
    return { name, type: { tensorType: { elemType: element(constraint), ...shape } } };
  };
  const to = { name: "to", type: 2, i: element(outputs[0]!) };
  const attribute = operator === "Cast" ? [to] : ATTRIBUTES[operator] ? [ATTRIBUTES[operator]] : [];
  const input = inputs.map((constraint, i) => value(`x${i}`, constraint, RANKS[operator]?.[i] ?? 2));
  const output = outputs.map((constraint, i) => value(`y${i}`, constraint));
  const names = (values: readonly { name: string }[]) => values.map(({ name }) => name);
  const node = [{ opType: operator, name: operator, input: names(input), output: names(output), attribute }];
  const opsetImport = [{ domain: "", version: OPSET }];
  const model = encodeModel({ irVersion: 10, opsetImport, graph: { name: operator, node, input, output } });
  try {
    const session = await InferenceSession.create(model, {
      executionProviders: ["webgpu"],
      graphOptimizationLevel: "disabled",
      logSeverityLevel: 4,
      extra: { session: { disable_cpu_ep_fallback: "1" } },
    });
    await session.release();
    return true;
  } catch {
    return false;
  }
}

const add = { inputs: ["T", "T"], outputs: ["T"], webgpu: null };
if (!(await takes("Add", add, USUAL))) throw new Error("there is no WebGPU device: not even floats can be added");
for (const [operator, entry] of Object.entries(list.operators)) {
  const constraints = new Set([...entry.inputs, ...entry.outputs].filter((constraint) => constraint in USUAL));
  const found: Record<string, string[]> = {};
  for (const constraint of constraints) {
    found[constraint] = [];
    for (const type of Object.keys(ELEMENT_TYPE)) {
      if (await takes(operator, entry, { ...USUAL, [constraint]: type })) found[constraint].push(type);
    }
  }
  entry.webgpu = Object.values(found).some(({ length }) => length === 0) ? null : found;
}
writeFileSync(file, `${JSON.stringify(list, null, 2)}\n`);

/**
 * Whatever has no kernel on a GPU, ONNX Runtime runs on the CPU without a word, and copies what it reads and makes. So every
 * operator of our graphs and its types are looked up in kernels.json.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Graph } from "../../../shared/graph/engine.ts";
import { type DecodedNode, decodeModel } from "../../../shared/graph/onnx.ts";
import { serialise } from "../../../shared/graph/serialise.ts";
import { ELEMENT_TYPE } from "../../../shared/graph/tensor.ts";
import { openCheckpoint } from "../../../shared/models/checkpoint.ts";
import { allGraphs } from "../../../shared/training/all-graphs.ts";

type Provider = "cuda" | "webgpu";

/** What a provider's kernels of an operator take: element types of each type constraint. Null: there is no kernel. */
type Kernels = Readonly<Record<string, readonly string[]>> | null;

interface Entry extends Readonly<Record<Provider, Kernels>> {
  /** The type constraint, or the only type, of each input; the last one stands for all that follow. `outputs` likewise. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

const list = JSON.parse(readFileSync(new URL("kernels.json", import.meta.url), "utf8"));
const operators: Readonly<Record<string, Entry>> = list.operators;

const EXACT =
  "only in DP-SGD's sum of clipped gradients, which is exact: that takes 64 bits, WebGPU has 32, and it is one copy of the gradients a step";

const ROWS =
  "WebGPU has no bfloat16: of a table in it only the rows that are read are widened, on the CPU, where the table stays; they are as few as the ids that go to the device";

/** What runs on the CPU, by choice, where the provider is the GPU's: why that is no loss. */
const ON_THE_CPU: Readonly<Record<Provider, Readonly<Record<string, string>>>> = {
  cuda: {},
  webgpu: {
    "Mul(float64,float64) → float64": EXACT,
    "Cast(int32) → float64": EXACT,
    "ReduceSum(float64,int64) → float64": EXACT,
    "Cast(float64) → int32": EXACT,
    "LessOrEqual(float64,float64) → bool": EXACT,
    "Gather(bfloat16,int32) → bfloat16": ROWS,
    "Cast(bfloat16) → float32": ROWS,
    "Cast(bfloat16) → float16": ROWS,
  },
};

/** A node as it is looked up: its types, as far as they are known before the graph runs. */
interface TypedNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

const TYPE_NAME = new Map(Object.entries(ELEMENT_TYPE).map(([name, number]) => [number, name]));

/**
 * The nodes that have to run on the device. These don't: what depends on constants only is computed when the graph is loaded;
 * and both providers leave arithmetic on sizes, from Shape on, to the CPU, where the operators that take sizes want them.
 */
function nodesOfTheDevice({ outputs, updates = [] }: Graph): readonly TypedNode[] {
  const next = Object.fromEntries(updates.map(({ next }, i) => [`next.${i}`, next]));
  const { node, initializer, input } = decodeModel(serialise({ ...outputs, ...next }).bytes);
  const types = new Map(initializer.map(({ name, dataType }) => [name, TYPE_NAME.get(dataType)!]));
  const constants = new Set(types.keys());
  const sizes = new Set<string>();
  for (const { name, type } of input) types.set(name, TYPE_NAME.get(type.tensorType.elemType)!);
  const found: TypedNode[] = [];
  for (const each of node) {
    const inputs = each.input.map((name) => types.get(name)!);
    const outputs = outputTypes(each, inputs);
    each.output.forEach((name, i) => {
      types.set(name, outputs[i]!);
    });
    const ofSizes = each.input.every((name) => sizes.has(name) || constants.has(name));
    const made = each.input.every((name) => constants.has(name))
      ? constants
      : each.opType === "Shape" || (ofSizes && SIZE_ARITHMETIC.has(each.opType))
        ? sizes
        : undefined;
    if (made) for (const name of each.output) made.add(name);
    else found.push({ operator: each.opType, inputs, outputs });
  }
  return found;
}

const SIZE_ARITHMETIC = new Set(["Add", "Mul", "Concat", "Reshape", "Cast"]);

function outputTypes({ opType, output, attribute }: DecodedNode, inputs: readonly string[]): readonly string[] {
  const of = (type: string) => output.map(() => type);
  switch (opType) {
    case "Cast":
      return of(TYPE_NAME.get(attribute.find(({ name }) => name === "to")!.i!)!);
    case "Shape":
      return of("int64");
    case "LessOrEqual":
      return of("bool");
    case "ConstantOfShape":
      return of("float32");
    case "Where":
      return of(inputs[1]!);
    default:
      return of(inputs[0]!);
  }
}

/** Whether a provider has a kernel for a node's types. */
function hasKernel({ operator, inputs, outputs }: TypedNode, provider: Provider): boolean {
  const entry = operators[operator];
  const kernels = entry?.[provider];
  if (!entry || !kernels) return false;
  const takes = (constraints: readonly string[]) => (type: string, i: number) => {
    const constraint = constraints[i] ?? constraints.at(-1)!;
    return constraint in kernels ? kernels[constraint]!.includes(type) : constraint === type;
  };
  return inputs.every(takes(entry.inputs)) && outputs.every(takes(entry.outputs));
}

const signature = ({ operator, inputs, outputs }: TypedNode) => `${operator}(${inputs}) → ${outputs}`;

const folder = new URL("../models/golden/families/", import.meta.url);
const missing: Record<Provider, Map<string, string>> = { cuda: new Map(), webgpu: new Map() };
const used = new Set<string>();

describe.each(readdirSync(folder))("%s", (name) => {
  test.each(["float32", "float16"] as const)("what its graphs compute in %s has kernels", async (precision) => {
    const checkpoint = await openCheckpoint(fileURLToPath(new URL(name, folder)));
    const graphs = await allGraphs(checkpoint, precision);
    const faults = new Set<string>();
    for (const { name: graph, graph: content } of graphs) {
      for (const node of nodesOfTheDevice(content)) {
        used.add(node.operator);
        for (const provider of ["cuda", "webgpu"] as const) {
          if (hasKernel(node, provider)) continue;
          missing[provider].set(signature(node), graph);
          if (!(signature(node) in ON_THE_CPU[provider])) {
            faults.add(`${provider} has no kernel for ${signature(node)}, which is in the graph of ${graph}`);
          }
        }
      }
    }
    expect([...faults]).toEqual([]);
  });
});

test("the list is of the installed release", () => {
  const { dependencies } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"));
  expect(`onnxruntime-node ${dependencies["onnxruntime-node"]}`).toBe(list.runtime);
});

test("what is said to run on the CPU does, and the list has no operator that isn't used", () => {
  for (const provider of ["cuda", "webgpu"] as const) {
    expect(Object.keys(ON_THE_CPU[provider]).sort()).toEqual([...missing[provider].keys()].sort());
  }
  expect(Object.keys(operators).sort()).toEqual([...used].sort());
});

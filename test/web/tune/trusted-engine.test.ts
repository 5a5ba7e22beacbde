/** Which device a tab computes on: a GPU only where it computes a step as WebAssembly does. */
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";
import { beforeAll, expect, test } from "vitest";
import type { GraphEngine } from "../../../shared/graph/graph-engine.ts";
import { mul } from "../../../shared/graph/operators/elementwise.ts";
import type { Runtime } from "../../../shared/graph/session-host.ts";
import { constant, variable } from "../../../shared/graph/tensor.ts";
import type { SampleStep } from "../../../shared/operations/sample-step.ts";
import { webRuntime } from "../../../web/tune/worker/runtime.ts";
import { trustedEngine } from "../../../web/tune/worker/trusted-engine.ts";

const PROMPT = { shape: [3], data: Float32Array.of(1, -4, 0) };
const x = variable("x", [3]);
const sample = async (): Promise<SampleStep> => ({
  graph: { outputs: { gradient: mul(x, constant(2)) } },
  variables: { x: PROMPT },
  feeds: {},
});

let wasm: Runtime;
beforeAll(() => {
  ort.env.wasm.numThreads = 1;
  wasm = webRuntime(ort, readFile);
});

/** A device in the GPU's place, whose results are changed; it counts its runs. */
function device(change: (data: Float32Array) => void): Runtime & { runs: number } {
  return {
    ...wasm,
    runs: 0,
    async open(onnx, packed) {
      const session = await wasm.open(onnx, packed);
      const run = async (...args: Parameters<typeof session.run>) => {
        this.runs++;
        const results = await session.run(...args);
        for (const { data } of Object.values(results)) change(data as Float32Array);
        return results;
      };
      return { outputNames: session.outputNames, release: () => session.release(), run } as unknown as typeof session;
    },
  };
}

async function chosen(gpu: (Runtime & { runs: number }) | undefined): Promise<{ isGpu: boolean; said: string[] }> {
  const said: string[] = [];
  const engine: GraphEngine = await trustedEngine(wasm, gpu, sample, (text) => said.push(text));
  const before = gpu?.runs;
  const { graph, variables, feeds } = await sample();
  await engine.set(variables);
  const session = await engine.load(graph);
  await session.run(feeds);
  await engine.close();
  return { isGpu: gpu !== undefined && gpu.runs > before!, said };
}

test("without a GPU it is WebAssembly, and nothing is said", async () => {
  expect(await chosen(undefined)).toEqual({ isGpu: false, said: [] });
});

test("a GPU that agrees but for rounding is taken", async () => {
  const { isGpu, said } = await chosen(device((data) => (data[1]! *= 1 + 1e-5)));
  expect(isGpu).toBe(true);
  expect(said).toEqual([
    expect.stringMatching(/^Computed on the GPU: .* differ from WebAssembly's by at most 1(\.\d+)?e-5 of/),
  ]);
});

test("a GPU that doesn't answer is left to itself", async () => {
  const silent: Runtime = { ...wasm, open: () => new Promise<never>(() => {}) };
  const said: string[] = [];
  const engine = await trustedEngine(wasm, silent, sample, (text) => said.push(text), 20);
  expect(said).toEqual(["Computed with WebAssembly: the GPU didn't compute a step in 0.02 seconds."]);
  // The engine that is left computes.
  const { graph, variables } = await sample();
  await engine.set(variables);
  expect((await (await engine.load(graph)).run({})).gradient!.data).toEqual(Float32Array.of(2, -8, 0));
  await engine.close();
});

test.each([
  ["off in one value", (data: Float32Array) => (data[0]! += 0.01), /the GPU's loss and gradient of a step differ/],
  ["wrong where the right value is 0", (data: Float32Array) => (data[2] = 0.1), /differ from its by/],
  ["not a number", (data: Float32Array) => (data[0] = Number.NaN), /∞|Infinity/],
  [
    "not to be had",
    () => {
      throw new Error("the device was lost");
    },
    /can't compute a step \(the device was lost\)/,
  ],
])("a GPU whose result is %s is not", async (_, change, why) => {
  const { isGpu, said } = await chosen(device(change));
  expect(isGpu).toBe(false);
  expect(said).toEqual([expect.stringMatching(/^Computed with WebAssembly: /)]);
  expect(said[0]).toMatch(why);
});

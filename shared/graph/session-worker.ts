/** The thread that holds ONNX sessions and variables. It answers one request at a time, in order. */
import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { Device, Value } from "./graph.ts";
import type { OnnxGraph } from "./serialise.ts";
import type { Reply, Request } from "./session-messages.ts";

interface Loaded extends Pick<OnnxGraph, "inputs" | "variables"> {
  readonly session: InferenceSession;
  readonly updates: readonly string[];
}

const { threads, device } = workerData as { threads: number; device: Device };
const loaded = new Map<number, Loaded>();
const variables = new Map<string, Tensor>();
/** A second buffer for each updated variable: a run writes there, then the two change places. */
const spares = new Map<string, Tensor>();

async function load({ handle, onnx, updates, packed }: Extract<Request, { type: "load" }>): Promise<void> {
  const session = await InferenceSession.create(onnx.bytes, {
    executionProviders: [device],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    // A plan of the memory is made for every shape and takes as much again beside what the arena holds; it saves no time.
    enableMemPattern: false,
    extra: {
      session: {
        ...(onnx.weightFolder !== undefined && { model_external_initializers_file_folder_path: onnx.weightFolder }),
        ...(!packed && { disable_prepacking: "1" }),
      },
    },
  });
  loaded.set(handle, { session, inputs: onnx.inputs, variables: onnx.variables, updates });
}

async function run({ handle, feeds }: Extract<Request, { type: "run" }>): Promise<Record<string, Value>> {
  const { session, inputs, variables: read, updates } = loaded.get(handle)!;
  const given: Record<string, Tensor> = {};
  for (const { name } of inputs) {
    const value = feeds[name];
    if (!value) throw new Error(`no value is given for the input ${name}`);
    given[name] = tensor(value);
  }
  for (const name of read) {
    const value = variables.get(name);
    if (!value) throw new Error(`the variable ${name} has no value yet`);
    given[name] = value;
  }
  const fetches = Object.fromEntries(session.outputNames.map((name) => [name, spare(name, updates)]));
  const results = await session.run(given, fetches);
  for (const name of updates) {
    spares.set(name, variables.get(name)!);
    variables.set(name, results[`next.${name}`] as Tensor);
  }
  const returned = Object.entries(results).filter(([name]) => !fetches[name]);
  return Object.fromEntries(returned.map(([name, result]) => [name, value(result as Tensor)]));
}

/** Where a run writes an output: into the spare buffer of a variable that it updates, or wherever ONNX Runtime likes. */
function spare(output: string, updates: readonly string[]): Tensor | null {
  const name = output.slice("next.".length);
  if (!output.startsWith("next.") || !updates.includes(name)) return null;
  const current = variables.get(name);
  if (!current) throw new Error(`the variable ${name} has no value yet`);
  return spares.get(name) ?? new Tensor(new Float32Array(current.size), current.dims);
}

function tensor({ data, shape }: Value): Tensor {
  return data instanceof Float32Array ? new Tensor("float32", data, shape) : new Tensor("int32", data, shape);
}

function value({ data, dims }: Tensor): Value {
  return { shape: dims, data: data as Float32Array | Int32Array };
}

async function answer(request: Request): Promise<unknown> {
  switch (request.type) {
    case "load":
      return load(request);
    case "run":
      return run(request);
    case "release":
      await loaded.get(request.handle)?.session.release();
      loaded.delete(request.handle);
      return undefined;
    case "set":
      for (const [name, given] of Object.entries(request.variables)) {
        variables.set(name, tensor(given));
        spares.delete(name);
      }
      return undefined;
    case "get":
      return Object.fromEntries(request.names.map((name) => [name, value(variables.get(name)!)]));
  }
}

let queue = Promise.resolve();
parentPort!.on("message", ({ id, request }: { id: number; request: Request }) => {
  queue = queue.then(async () => {
    const reply: Reply = await answer(request).then(
      (value) => ({ id, value }),
      (error: unknown) => ({ id, error: error instanceof Error ? error.message : String(error) }),
    );
    parentPort!.postMessage(reply);
  });
});

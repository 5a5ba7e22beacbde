/** The thread that holds ONNX sessions and variables. It answers one request at a time, in order. */
import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { Device, Part, Value } from "./graph.ts";
import type { OnnxGraph } from "./serialise.ts";
import type { Reply, Request } from "./session-messages.ts";
import { append, copyPieces, resized, rowsOf, type Stored } from "./variable-memory.ts";

interface Loaded extends Pick<OnnxGraph, "inputs" | "variables"> {
  readonly session: InferenceSession;
  readonly updates: readonly string[];
  readonly appends: readonly string[];
}

const { threads, device } = workerData as { threads: number; device: Device };
/**
 * How long an idle thread waits for the next operator before it sleeps, in microseconds. Without a limit, two threads beside another
 * program's were slower than one (docs/performance.md, "Threads").
 */
const SPIN_MICROSECONDS = "50";

const loaded = new Map<number, Loaded>();
const variables = new Map<string, Tensor>();
/** A second buffer for each updated variable: a run writes there, then the two change places. */
const spares = new Map<string, Tensor>();

async function load({ handle, onnx, updates, appends, packed }: Extract<Request, { type: "load" }>): Promise<void> {
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
        intra_op: { spin_duration_us: SPIN_MICROSECONDS },
      },
    },
  });
  loaded.set(handle, { session, inputs: onnx.inputs, variables: onnx.variables, updates, appends });
}

async function run({ handle, feeds, part }: Extract<Request, { type: "run" }>): Promise<Record<string, Value>> {
  const { session, inputs, variables: read, updates, appends } = loaded.get(handle)!;
  const given: Record<string, Tensor> = {};
  for (const { name } of inputs) {
    const value = feeds[name];
    if (!value) throw new Error(`no value is given for the input ${name}`);
    given[name] = tensor(value);
  }
  for (const { name, byRows } of read) given[name] = byRows ? partOf(variable(name), part) : variable(name);
  const fetches: Record<string, Tensor | null> = {};
  for (const name of updates) fetches[`next.${name}`] = spare(name);
  for (const name of appends) fetches[`next.${name}`] = null;
  const returned = part.outputs ?? session.outputNames.filter((name) => !(name in fetches));
  for (const name of returned) fetches[name] = null;
  const results = (await session.run(given, fetches)) as Record<string, Tensor>;
  for (const name of updates) {
    spares.set(name, variable(name));
    variables.set(name, results[`next.${name}`]!);
  }
  for (const name of appends) append(stored(given[name]!), stored(results[`next.${name}`]!), part.positions!);
  return Object.fromEntries(returned.map((name) => [name, value(results[name]!)]));
}

function variable(name: string): Tensor {
  const found = variables.get(name);
  if (!found) throw new Error(`the variable ${name} has no value yet`);
  return found;
}

/** The second buffer of a variable, which its next value is written into. */
function spare(name: string): Tensor {
  const { size, dims } = variable(name);
  return spares.get(name) ?? new Tensor(new Float32Array(size), dims);
}

function partOf(whole: Tensor, { rows }: Part): Tensor {
  if (!rows) return whole;
  const { data, dims } = rowsOf(stored(whole), rows.first, rows.count);
  return new Tensor(data, dims);
}

function stored({ data, dims }: Tensor): Stored {
  return { data: data as Float32Array, dims };
}

function resize(name: string, shape: readonly number[]): void {
  const before = variables.get(name) ?? { data: new Float32Array(), dims: shape.map(() => 0) };
  const { data, dims } = resized(stored(before as Tensor), shape);
  variables.set(name, new Tensor(data, dims));
  spares.delete(name);
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
    case "resize":
      for (const [name, shape] of Object.entries(request.shapes)) resize(name, shape);
      return undefined;
    case "copy":
      for (const { from, to, pieces } of request.copies) {
        const source = from === undefined ? undefined : stored(variable(from)).data;
        copyPieces(source, stored(variable(to)).data, pieces);
      }
      return undefined;
    case "drop":
      for (const name of request.names) {
        variables.delete(name);
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

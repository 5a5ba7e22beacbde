/** The thread that holds ONNX sessions and variables. It answers one request at a time, in order. */
import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { Copy, Device, Part, Value } from "./engine.ts";
import type { OnnxGraph } from "./serialise.ts";

export type Request =
  | {
      readonly type: "load";
      readonly handle: number;
      readonly onnx: OnnxGraph;
      readonly updates: readonly Replaced[];
      /** Whether weights are packed for matrix products. */
      readonly packed: boolean;
    }
  | { readonly type: "release"; readonly handle: number }
  | {
      readonly type: "run";
      readonly handle: number;
      readonly feeds: Readonly<Record<string, Value>>;
      readonly part: Part;
    }
  | { readonly type: "set"; readonly variables: Readonly<Record<string, Value>> }
  | { readonly type: "allocate"; readonly shapes: Readonly<Record<string, readonly number[]>> }
  | { readonly type: "copy"; readonly copies: readonly Copy[] }
  | { readonly type: "drop"; readonly names: readonly string[] }
  | { readonly type: "get"; readonly names: readonly string[] };

/** A variable that a graph replaces. */
interface Replaced {
  readonly name: string;
  readonly inPlace: boolean;
}

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface Loaded extends Pick<OnnxGraph, "inputs" | "variables"> {
  readonly session: InferenceSession;
  readonly updates: readonly Replaced[];
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

async function run({ handle, feeds, part }: Extract<Request, { type: "run" }>): Promise<Record<string, Value>> {
  const { session, inputs, variables: read, updates } = loaded.get(handle)!;
  const given: Record<string, Tensor> = {};
  for (const { name } of inputs) {
    const value = feeds[name];
    if (!value) throw new Error(`no value is given for the input ${name}`);
    given[name] = tensor(value);
  }
  for (const { name, byRows } of read) given[name] = byRows ? rowsOf(variable(name), part) : variable(name);
  const fetches: Record<string, Tensor | null> = {};
  for (const { name, inPlace } of updates) fetches[`next.${name}`] = inPlace ? given[name]! : spare(name);
  const wanted = session.outputNames.filter((name) => !(name in fetches));
  for (const name of part.outputs ?? wanted) fetches[name] = null;
  const results = await session.run(given, fetches);
  for (const { name, inPlace } of updates) {
    if (inPlace) continue;
    spares.set(name, variables.get(name)!);
    variables.set(name, results[`next.${name}`] as Tensor);
  }
  const returned = Object.entries(results).filter(([name]) => !fetches[name]);
  return Object.fromEntries(returned.map(([name, result]) => [name, value(result as Tensor)]));
}

function variable(name: string): Tensor {
  const found = variables.get(name);
  if (!found) throw new Error(`the variable ${name} has no value yet`);
  return found;
}

/** The second buffer of a variable, into which its next value is written. */
function spare(name: string): Tensor {
  const { size, dims } = variable(name);
  return spares.get(name) ?? new Tensor(new Float32Array(size), dims);
}

/** Some rows of a variable, in its own memory. */
function rowsOf(whole: Tensor, { rows }: Part): Tensor {
  if (!rows) return whole;
  const [, ...rest] = whole.dims;
  const size = rest.reduce((a, b) => a * b, 1);
  const data = (whole.data as Float32Array).subarray(rows.first * size, (rows.first + rows.count) * size);
  return new Tensor(data, [rows.count, ...rest]);
}

function copyPieces({ from, to, pieces }: Copy): void {
  const source = variable(from).data as Float32Array;
  const target = variable(to).data as Float32Array;
  for (let i = 0; i < pieces.length; i += 3) {
    const [read, write, length] = [pieces[i]!, pieces[i + 1]!, pieces[i + 2]!];
    target.set(source.subarray(read, read + length), write);
  }
}

/** Frees variables and their second buffers. */
function drop(names: readonly string[]): void {
  for (const name of names) {
    variables.delete(name);
    spares.delete(name);
  }
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
    case "allocate":
      for (const [name, shape] of Object.entries(request.shapes)) {
        variables.set(name, new Tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape));
        spares.delete(name);
      }
      return undefined;
    case "copy":
      request.copies.forEach(copyPieces);
      return undefined;
    case "drop":
      return drop(request.names);
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

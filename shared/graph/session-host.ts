/** ONNX sessions and variables, in whatever thread they are: the platform's package of ONNX Runtime is given. */
import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { Part, Value } from "./graph.ts";
import type { OnnxGraph } from "./serialise.ts";
import type { Request } from "./session-messages.ts";
import { append, copyPieces, resized, rowsOf, type Stored } from "./variable-memory.ts";

/** A package of ONNX Runtime: Node and browsers have each their own, with one interface. */
export interface Runtime {
  /** @param packed whether weights are packed for matrix products */
  open(onnx: OnnxGraph, packed: boolean): Promise<InferenceSession>;
  /** Its class of tensors; it takes no other. */
  readonly Tensor: typeof Tensor;
  /** Whether a run writes its outputs into the tensors that it is given for them. */
  readonly writesInPlace: boolean;
}

interface Loaded extends Pick<OnnxGraph, "inputs" | "variables"> {
  readonly session: InferenceSession;
  readonly updates: readonly string[];
  readonly appends: readonly string[];
}

/** Answers an engine's requests; each must be answered before the next one. */
export class SessionHost {
  readonly #runtime: Runtime;
  readonly #loaded = new Map<number, Loaded>();
  readonly #variables = new Map<string, Tensor>();
  /** A second buffer for each updated variable, where the runtime writes in place: a run writes there, then the two change places. */
  readonly #spares = new Map<string, Tensor>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** @throws Error of ONNX Runtime, or naming what is missing */
  async answer(request: Request): Promise<unknown> {
    switch (request.type) {
      case "load":
        return this.#load(request);
      case "run":
        return this.#run(request);
      case "release":
        await this.#loaded.get(request.handle)?.session.release();
        this.#loaded.delete(request.handle);
        return undefined;
      case "set":
        for (const [name, given] of Object.entries(request.variables)) {
          this.#variables.set(name, this.#tensor(given));
          this.#spares.delete(name);
        }
        return undefined;
      case "resize":
        for (const [name, shape] of Object.entries(request.shapes)) this.#resize(name, shape);
        return undefined;
      case "copy":
        for (const { from, to, pieces } of request.copies) {
          const source = from === undefined ? undefined : stored(this.#variable(from)).data;
          copyPieces(source, stored(this.#variable(to)).data, pieces);
        }
        return undefined;
      case "drop":
        for (const name of request.names) {
          this.#variables.delete(name);
          this.#spares.delete(name);
        }
        return undefined;
      case "get":
        return Object.fromEntries(request.names.map((name) => [name, value(this.#variables.get(name)!)]));
    }
  }

  async #load({ handle, onnx, updates, appends, packed }: Extract<Request, { type: "load" }>): Promise<void> {
    const session = await this.#runtime.open(onnx, packed);
    this.#loaded.set(handle, { session, inputs: onnx.inputs, variables: onnx.variables, updates, appends });
  }

  async #run({ handle, feeds, part }: Extract<Request, { type: "run" }>): Promise<Record<string, Value>> {
    const { session, inputs, variables: read, updates, appends } = this.#loaded.get(handle)!;
    const given: Record<string, Tensor> = {};
    for (const { name } of inputs) {
      const value = feeds[name];
      if (!value) throw new Error(`no value is given for the input ${name}`);
      given[name] = this.#tensor(value);
    }
    for (const { name, byRows } of read) {
      given[name] = byRows ? this.#partOf(this.#variable(name), part) : this.#variable(name);
    }
    const fetches: Record<string, Tensor | null> = {};
    for (const name of updates) fetches[`next.${name}`] = this.#runtime.writesInPlace ? this.#spare(name) : null;
    for (const name of appends) fetches[`next.${name}`] = null;
    const returned = part.outputs ?? session.outputNames.filter((name) => !(name in fetches));
    for (const name of returned) fetches[name] = null;
    const results = (await session.run(given, fetches)) as Record<string, Tensor>;
    for (const name of updates) {
      const [written, result] = [fetches[`next.${name}`], results[`next.${name}`]!];
      if (written) {
        this.#spares.set(name, this.#variable(name));
        // The binding hands out a copy of what was written, which would wait for the garbage collector: weights take gigabytes.
        (result.data as Float32Array<ArrayBuffer>).buffer.transfer(0);
      }
      this.#variables.set(name, written ?? result);
    }
    for (const name of appends) {
      append(stored(given[name]!), stored(results[`next.${name}`]!), part.positions!, part.lengths);
    }
    return Object.fromEntries(returned.map((name) => [name, value(results[name]!)]));
  }

  #variable(name: string): Tensor {
    const found = this.#variables.get(name);
    if (!found) throw new Error(`the variable ${name} has no value yet`);
    return found;
  }

  /** The second buffer of a variable, which its next value is written into. */
  #spare(name: string): Tensor {
    const { size, dims } = this.#variable(name);
    return this.#spares.get(name) ?? new this.#runtime.Tensor(new Float32Array(size), dims);
  }

  #partOf(whole: Tensor, { rows }: Part): Tensor {
    if (!rows) return whole;
    const { data, dims } = rowsOf(stored(whole), rows.first, rows.count);
    return new this.#runtime.Tensor(data, dims);
  }

  #resize(name: string, shape: readonly number[]): void {
    const found = this.#variables.get(name);
    const before = found ? stored(found) : { data: new Float32Array(), dims: shape.map(() => 0) };
    const { data, dims } = resized(before, shape);
    this.#variables.set(name, new this.#runtime.Tensor(data, dims));
    this.#spares.delete(name);
  }

  #tensor({ data, shape }: Value): Tensor {
    const { Tensor } = this.#runtime;
    return data instanceof Float32Array ? new Tensor("float32", data, shape) : new Tensor("int32", data, shape);
  }
}

function stored({ data, dims }: Tensor): Stored {
  return { data: data as Float32Array, dims };
}

function value({ data, dims }: Tensor): Value {
  return { shape: dims, data: data as Float32Array | Int32Array };
}

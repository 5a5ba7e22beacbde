import { dirname, relative } from "node:path";
import { encodeModel } from "./onnx.ts";
import { type Dim, type Shape, terms } from "./shape.ts";
import { type Attributes, type DType, ELEMENT_TYPE, type Node, type Tensor } from "./tensor.ts";

const OPSET = 20;
/** The first one with blocks in DequantizeLinear. It is asked for where they are: not every device has all its operators. */
const BLOCKS_OPSET = 21;
const IR_VERSION = 10;
/** AttributeProto.AttributeType */
const ATTRIBUTE = { FLOAT: 1, INT: 2, STRING: 3, INTS: 7 } as const;
/** Attributes that only the rules read. ONNX takes these axes as a tensor. */
const RULES_ONLY: Readonly<Record<string, readonly string[]>> = { ReduceSum: ["axes"] };
/** Attributes that ONNX types as floats even when their value is whole. */
const FLOATS = new Set(["epsilon"]);

/** A graph as ONNX Runtime reads it, and what the engine must feed. */
export interface OnnxGraph {
  readonly bytes: Uint8Array;
  /** Names and dtypes of the inputs that every run must give. */
  readonly inputs: readonly { readonly name: string; readonly dtype: DType }[];
  /** The variables that the graph reads; of those whose leading dimension has a name, a run takes some rows. */
  readonly variables: readonly { readonly name: string; readonly byRows: boolean }[];
  /** Folder that the weights' locations are relative to; undefined if there are none. */
  readonly weightFolder: string | undefined;
  /** The weights' files, as the graph names them: relative to that folder. */
  readonly weightFiles: readonly string[];
}

type Message = Record<string, unknown>;

/**
 * Writes the part of the graph that named outputs reach as an ONNX model. Weights stay in their files (external data).
 * @throws Error if weights lie in files without a common folder that ONNX Runtime may read
 */
export function serialise(outputs: Readonly<Record<string, Tensor>>): OnnxGraph {
  return new Writer().write(outputs);
}

class Writer {
  readonly #nodes: Message[] = [];
  readonly #initializers: Message[] = [];
  readonly #inputs = new Map<string, Tensor>();
  readonly #weights: { readonly name: string; readonly tensor: Tensor }[] = [];
  readonly #weightFiles = new Set<string>();
  readonly #names = new Map<Tensor, string>();
  readonly #written = new Set<Node>();
  readonly #constants = new Map<string, string>();
  #count = 0;

  write(outputs: Readonly<Record<string, Tensor>>): OnnxGraph {
    this.#findInputs(Object.values(outputs));
    this.#nameOutputs(outputs);
    const results = Object.entries(outputs).map(([name, tensor]) => {
      const written = this.#name(tensor);
      if (written !== name) this.#emit("Identity", [written], [name]);
      return valueInfo(name, tensor);
    });
    const weightFolder = this.#placeWeights();
    const inputs = [...this.#inputs.values()];
    const bytes = encodeModel({
      irVersion: IR_VERSION,
      producerName: "softpost",
      opsetImport: this.#opsets(),
      graph: {
        name: "softpost",
        node: this.#nodes,
        initializer: this.#initializers,
        input: inputs.map((tensor) => valueInfo(leafName(tensor), tensor)),
        output: results,
      },
    });
    const given = inputs.filter((tensor) => tensor.source.kind === "input");
    const kept = inputs.filter((tensor) => tensor.source.kind === "variable");
    return {
      bytes,
      inputs: given.map((tensor) => ({ name: leafName(tensor), dtype: tensor.dtype })),
      variables: kept.map((tensor) => ({ name: leafName(tensor), byRows: typeof tensor.shape[0] === "string" })),
      weightFolder,
      weightFiles: [...this.#weightFiles],
    };
  }

  #opsets(): Message[] {
    const blocks = this.#nodes.some(({ opType }) => opType === "DequantizeLinear");
    const domains = new Set(this.#nodes.flatMap(({ domain }) => (typeof domain === "string" ? [domain] : [])));
    return [
      { domain: "", version: blocks ? BLOCKS_OPSET : OPSET },
      ...[...domains].map((domain) => ({ domain, version: 1 })),
    ];
  }

  /** Inputs are found before anything is written, since run-time sizes are read off them. */
  #findInputs(outputs: readonly Tensor[]): void {
    const seen = new Set<Tensor>();
    const stack = [...outputs];
    for (let tensor = stack.pop(); tensor; tensor = stack.pop()) {
      if (seen.has(tensor)) continue;
      seen.add(tensor);
      if (tensor.source.kind === "node") stack.push(...tensor.source.node.inputs);
      if (tensor.source.kind === "input" || tensor.source.kind === "variable") {
        const name = leafName(tensor);
        const other = this.#inputs.get(name);
        if (other && other !== tensor) throw new Error(`two inputs are called ${name}`);
        this.#inputs.set(name, tensor);
      }
    }
  }

  /** What a node makes is written where the output is wanted: of a tensor with another name a copy would be made. */
  #nameOutputs(outputs: Readonly<Record<string, Tensor>>): void {
    for (const [name, { source }] of Object.entries(outputs)) {
      const made = source.kind === "node" && source.node.outputs[source.output]!;
      if (made && !this.#names.has(made)) this.#names.set(made, name);
    }
  }

  #name(tensor: Tensor): string {
    const { source } = tensor;
    if (source.kind === "node") {
      this.#write(source.node);
      return this.#names.get(source.node.outputs[source.output]!)!;
    }
    const known = this.#names.get(tensor);
    if (known !== undefined) return known;
    const name = this.#define(tensor);
    this.#names.set(tensor, name);
    return name;
  }

  #define(tensor: Tensor): string {
    const { source } = tensor;
    switch (source.kind) {
      case "input":
      case "variable":
        return source.name;
      case "weight": {
        // A variable may have the name of a weight that it started from. One weight may be read as several types.
        const name = `frozen/${source.name}/${tensor.dtype}[${tensor.shape}]`;
        if (!this.#weights.some((other) => other.name === name)) this.#weights.push({ name, tensor });
        return name;
      }
      case "narrow":
        throw new Error("a narrow matrix is for linear layers and lookups only");
      case "constant":
        return this.#constant(tensor.dtype, tensor.shape, source.data);
      case "sizes":
        return this.#sizes(source.dims, source.oneInferred);
      case "node":
        throw new Error("what a node makes is named when it is written");
    }
  }

  #write(node: Node): void {
    if (this.#written.has(node)) return;
    this.#written.add(node);
    const inputs = node.inputs.map((tensor) => this.#name(tensor));
    const base = this.#fresh();
    const results = node.outputs.map((tensor, i) => {
      const name = this.#names.get(tensor) ?? `${base}.${i}`;
      this.#names.set(tensor, name);
      return name;
    });
    this.#emit(node.operator.type, inputs, results, node.attributes, node.operator.domain);
  }

  #constant(dtype: DType, shape: Shape, data: Float32Array | Int32Array | BigInt64Array): string {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const key = `${dtype}[${shape.join()}]${Buffer.from(bytes).toString("base64")}`;
    const known = this.#constants.get(key);
    if (known) return known;
    const name = this.#fresh();
    this.#constants.set(key, name);
    this.#initializers.push({ name, dataType: ELEMENT_TYPE[dtype], dims: shape, rawData: bytes });
    return name;
  }

  /** Run-time sizes as an int64 list: constants, one −1 for Reshape (which also holds for `PER_EXAMPLE`), or computed. */
  #sizes(dims: Shape, oneInferred: boolean): string {
    const unknown = dims.filter((dim) => typeof dim !== "number").length;
    if (unknown === 0 || (unknown === 1 && oneInferred)) {
      const values = BigInt64Array.from(dims, (dim) => (typeof dim === "number" ? BigInt(dim) : -1n));
      return this.#constant("int64", [dims.length], values);
    }
    const parts = dims.map((dim) => this.#size(dim));
    if (parts.length === 1) return parts[0]!;
    return this.#emit("Concat", parts, [this.#fresh()], { axis: 0 });
  }

  /** One run-time size as an int64 list of one. */
  #size(dim: Dim): string {
    const sums = terms(dim).map(({ coefficient, names }) => {
      const factors = names.map((name) => this.#inputSize(name));
      if (coefficient !== 1 || factors.length === 0) {
        factors.push(this.#constant("int64", [1], BigInt64Array.of(BigInt(coefficient))));
      }
      return factors.reduce((a, b) => this.#emit("Mul", [a, b], [this.#fresh()]));
    });
    return sums.reduce((a, b) => this.#emit("Add", [a, b], [this.#fresh()]));
  }

  #inputSize(dimension: string): string {
    for (const tensor of this.#inputs.values()) {
      const axis = tensor.shape.indexOf(dimension);
      if (axis < 0) continue;
      return this.#emit("Shape", [leafName(tensor)], [this.#fresh()], { start: axis, end: axis + 1 });
    }
    throw new Error(`no input has a dimension called ${dimension}`);
  }

  #emit(
    opType: string,
    input: readonly string[],
    output: readonly string[],
    attributes: Attributes = {},
    domain?: string,
  ): string {
    const attribute = Object.entries(attributes)
      .filter(([name]) => !RULES_ONLY[opType]?.includes(name))
      .map(([name, value]) => attributeProto(name, value));
    this.#nodes.push({ opType, domain, name: output[0], input, output, attribute });
    return output[0]!;
  }

  #placeWeights(): string | undefined {
    const folders = new Set(this.#weights.map(({ tensor }) => dirname(locationOf(tensor).file)));
    const folder = [...folders].reduce<string | undefined>(
      (a, b) => (a === undefined ? b : commonFolder(a, b)),
      undefined,
    );
    for (const { name, tensor } of this.#weights) {
      const { file, offset, length } = locationOf(tensor);
      const path = relative(folder!, file);
      this.#weightFiles.add(path);
      const entries = { location: path, offset: String(offset), length: String(length) };
      this.#initializers.push({
        name,
        dataType: ELEMENT_TYPE[tensor.dtype],
        dims: tensor.shape,
        dataLocation: 1,
        externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
      });
    }
    return folder;
  }

  #fresh(): string {
    return `_${this.#count++}`;
  }
}

function locationOf(tensor: Tensor) {
  if (tensor.source.kind !== "weight") throw new Error("not a weight");
  return tensor.source.location;
}

function leafName(tensor: Tensor): string {
  if (tensor.source.kind !== "input" && tensor.source.kind !== "variable") throw new Error("not an input");
  return tensor.source.name;
}

/** The deepest folder above two folders. ONNX Runtime refuses weights outside of the folder that it is given. */
function commonFolder(a: string, b: string): string {
  const [x, y] = [a.split("/"), b.split("/")];
  const differs = x.findIndex((part, i) => part !== y[i]);
  return x.slice(0, differs < 0 ? x.length : differs).join("/") || "/";
}

function valueInfo(name: string, tensor: Tensor): Message {
  const dim = tensor.shape.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: ELEMENT_TYPE[tensor.dtype], shape: { dim } } } };
}

function attributeProto(name: string, value: number | string | readonly number[]): Message {
  if (typeof value === "string") return { name, type: ATTRIBUTE.STRING, s: Buffer.from(value) };
  if (typeof value !== "number") return { name, type: ATTRIBUTE.INTS, ints: value };
  if (FLOATS.has(name)) return { name, type: ATTRIBUTE.FLOAT, f: value };
  return { name, type: ATTRIBUTE.INT, i: value };
}

import protobuf from "protobufjs";

/**
 * The part of ONNX's protobuf definitions (onnx.proto3, IR version 10) that softpost writes: messages as
 * `field name: [field number, type, repeated?]`.
 */
const MESSAGES: Readonly<Record<string, Readonly<Record<string, readonly [number, string, "repeated"?]>>>> = {
  ModelProto: {
    irVersion: [1, "int64"],
    producerName: [2, "string"],
    graph: [7, "GraphProto"],
    opsetImport: [8, "OperatorSetIdProto", "repeated"],
  },
  OperatorSetIdProto: { domain: [1, "string"], version: [2, "int64"] },
  GraphProto: {
    node: [1, "NodeProto", "repeated"],
    name: [2, "string"],
    initializer: [5, "TensorProto", "repeated"],
    input: [11, "ValueInfoProto", "repeated"],
    output: [12, "ValueInfoProto", "repeated"],
  },
  NodeProto: {
    input: [1, "string", "repeated"],
    output: [2, "string", "repeated"],
    name: [3, "string"],
    opType: [4, "string"],
    attribute: [5, "AttributeProto", "repeated"],
  },
  AttributeProto: {
    name: [1, "string"],
    f: [2, "float"],
    i: [3, "int64"],
    s: [4, "bytes"],
    ints: [8, "int64", "repeated"],
    type: [20, "int32"],
  },
  TensorProto: {
    dims: [1, "int64", "repeated"],
    dataType: [2, "int32"],
    name: [8, "string"],
    rawData: [9, "bytes"],
    externalData: [13, "StringStringEntryProto", "repeated"],
    dataLocation: [14, "int32"],
  },
  StringStringEntryProto: { key: [1, "string"], value: [2, "string"] },
  ValueInfoProto: { name: [1, "string"], type: [2, "TypeProto"] },
  TypeProto: { tensorType: [1, "TensorTypeProto"] },
  TensorTypeProto: { elemType: [1, "int32"], shape: [2, "TensorShapeProto"] },
  TensorShapeProto: { dim: [1, "DimensionProto", "repeated"] },
  DimensionProto: { dimValue: [1, "int64"], dimParam: [2, "string"] },
};

const root = new protobuf.Root();
for (const [name, fields] of Object.entries(MESSAGES)) {
  const message = new protobuf.Type(name);
  for (const [field, [id, type, rule]] of Object.entries(fields))
    message.add(new protobuf.Field(field, id, type, rule));
  root.add(message);
}

/** An ONNX operator as {@link decodeModel} gives it. */
export interface DecodedNode {
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly { readonly name: string; readonly i?: number; readonly s?: Uint8Array }[];
}

/** The part of a decoded model that says what is computed, on which element types (TensorProto.DataType). */
export interface DecodedGraph {
  readonly node: readonly DecodedNode[];
  readonly initializer: readonly { readonly name: string; readonly dataType: number }[];
  readonly input: readonly {
    readonly name: string;
    readonly type: { readonly tensorType: { readonly elemType: number } };
  }[];
}

/**
 * Encodes an ONNX model given as a plain object in the shape of ModelProto. The library's own encoder is made of generated code, which the policy of a
 * page forbids.
 */
export function encodeModel(model: Message): Uint8Array {
  return encode("ModelProto", model, protobuf.Writer.create()).finish();
}

type Message = Readonly<Record<string, unknown>>;

/** Protocol Buffers' wire types: a number as a varint, four bytes, or bytes with their length before them. */
const WIRE_TYPE: Readonly<Record<string, number>> = { int32: 0, int64: 0, float: 5 };
const BYTES = 2;

function encode(name: string, message: Message, writer: protobuf.Writer): protobuf.Writer {
  for (const [field, [id, type, rule]] of Object.entries(MESSAGES[name]!)) {
    const value = message[field];
    if (value === undefined) continue;
    const values = rule === "repeated" ? (value as readonly unknown[]) : [value];
    const wire = WIRE_TYPE[type] ?? BYTES;
    if (rule === "repeated" && wire !== BYTES) {
      if (values.length === 0) continue;
      writer.uint32((id << 3) | BYTES).fork();
      for (const each of values) encodeValue(type, each, writer);
      writer.ldelim();
      continue;
    }
    for (const each of values) encodeValue(type, each, writer.uint32((id << 3) | wire));
  }
  return writer;
}

function encodeValue(type: string, value: unknown, writer: protobuf.Writer): void {
  if (type === "int64") writer.int64(value as number);
  else if (type === "int32") writer.int32(value as number);
  else if (type === "float") writer.float(value as number);
  else if (type === "string") writer.string(value as string);
  else if (type === "bytes") writer.bytes(value as Uint8Array);
  else encode(type, value as Message, writer.fork()).ldelim();
}

/** Reads the graph of an ONNX model that {@link encodeModel} wrote. */
export function decodeModel(bytes: Uint8Array): DecodedGraph {
  const type = root.lookupType("ModelProto");
  const model = type.toObject(type.decode(bytes), { longs: Number, arrays: true });
  return (model as { graph: DecodedGraph }).graph;
}

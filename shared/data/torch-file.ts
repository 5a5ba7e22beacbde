import { zipSync } from "fflate";

/**
 * A float32 matrix as a file that `torch.load(…, weights_only=True)` reads: what `torch.save` of a contiguous CPU tensor
 * writes. That is a zip file, uncompressed, of the values, their byte order, and a pickle that makes a tensor of them.
 *
 * @param values `[rows, columns]`, row-major
 */
export function torchFile(values: Float32Array, rows: number, columns: number): Uint8Array {
  const stored = { level: 0, mtime: EARLIEST } as const;
  const text = (content: string) => new TextEncoder().encode(content);
  return zipSync({
    "archive/data.pkl": [tensorPickle(rows, columns), stored],
    "archive/byteorder": [text("little"), stored],
    "archive/data/0": [new Uint8Array(values.buffer, values.byteOffset, values.byteLength), stored],
    "archive/version": [text("3\n"), stored],
  });
}

/** The first day that a zip file can name: the same matrix gives the same file. */
const EARLIEST = new Date(1980, 0, 1);

/** Opcodes of Python's pickletools. */
const PROTOCOL_2 = "\x80\x02";
const MARK = "(";
const TUPLE = "t";
const EMPTY_TUPLE = ")";
const PERSISTENT_ID = "Q";
const FALSE = "\x89";
const REDUCE = "R";
const STOP = ".";

/**
 * Pickle protocol 2 of `torch._utils._rebuild_tensor_v2(storage, 0, (rows, columns), (columns, 1), False, OrderedDict())`, where the
 * storage is named by the persistent id `("storage", torch.FloatStorage, "0", "cpu", rows · columns)`.
 */
function tensorPickle(rows: number, columns: number): Uint8Array {
  const global = (module: string, name: string) => `c${module}\n${name}\n`;
  const string = (text: string) => `X${int32(text.length)}${text}`;
  const integer = (value: number) => `J${int32(value)}`;
  const tuple = (...items: string[]) => MARK + items.join("") + TUPLE;
  const storage = tuple(
    string("storage"),
    global("torch", "FloatStorage"),
    string("0"),
    string("cpu"),
    integer(rows * columns),
  );
  const shape = tuple(integer(rows), integer(columns));
  const strides = tuple(integer(columns), integer(1));
  const hooks = global("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE;
  const call = tuple(storage + PERSISTENT_ID, integer(0), shape, strides, FALSE, hooks);
  return Buffer.from(PROTOCOL_2 + global("torch._utils", "_rebuild_tensor_v2") + call + REDUCE + STOP, "latin1");
}

/** Four bytes, little-endian, as characters of Latin-1. */
function int32(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes.toString("latin1");
}

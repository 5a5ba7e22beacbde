import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { ProblemError } from "../protocol/errors.ts";
import { TokenStream } from "./token-stream.ts";

/** Float32 numbers one behind the other, however many: kept as a `TokenStream` keeps ids, of which each has as many bits. */
export class FloatStream implements Disposable {
  readonly #bits: TokenStream;

  /**
   * @param name what messages call it
   * @param memoryBlocks as a `TokenStream`'s
   */
  constructor(name: string, memoryBlocks?: number) {
    this.#bits = new TokenStream(memoryBlocks, name);
  }

  get length(): number {
    return this.#bits.length;
  }

  /** @throws ProblemError if the file can't be written */
  append({ buffer, byteOffset, length }: Float32Array): void {
    this.#bits.append(new Int32Array(buffer, byteOffset, length));
  }

  /** A copy of the numbers from `begin` to before `end`. @throws RangeError for what isn't there */
  subarray(begin: number, end: number): Float32Array {
    return new Float32Array(this.#bits.subarray(begin, end).buffer);
  }

  [Symbol.dispose](): void {
    this.#bits[Symbol.dispose]();
  }
}

/** Bytes that the folder for temporary files has room for. */
export async function temporarySpace(): Promise<number> {
  const { bavail, bsize } = await statfs(tmpdir());
  return bavail * bsize;
}

/**
 * Refuses what has no room in the folder for temporary files, before the work whose results would be held there.
 * @param bytes at most
 * @param held what would be held, and why it is so much
 * @param less what would take less
 */
export function requireTemporary(bytes: number, space: number, held: string, less: string): void {
  if (bytes <= space) return;
  const gb = (value: number) => (value / 1e9).toPrecision(3);
  const detail = `${held} may take ${gb(bytes)} GB in files, and ${tmpdir()} has ${gb(space)}: ${less} take less, and TMPDIR names another folder.`;
  throw new ProblemError("There is not enough room for temporary files", detail, { status: 422 });
}

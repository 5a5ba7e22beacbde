import { createHash, randomUUID } from "node:crypto";
import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProblemError } from "../protocol/errors.ts";

/** Token ids one behind the other, of which pieces are read; an array of them is one. */
export interface Tokens {
  readonly length: number;
  subarray(begin: number, end: number): Int32Array;
}

/** Ids of a block, and blocks that stay in memory: 64 MB. */
const BLOCK_IDS = 2 ** 20;
const MEMORY_BLOCKS = 16;
const BYTES = Int32Array.BYTES_PER_ELEMENT;
/** Bytes of a stream that need no file. */
export const BYTES_IN_MEMORY = MEMORY_BLOCKS * BLOCK_IDS * BYTES;

/**
 * Token ids of public text, however many: the first ones are in memory, what is beyond in a file in the folder for temporary ones, which has no name any more
 * when the first id is in it, so that it is gone with the process.
 */
export class TokenStream implements Tokens, Disposable {
  readonly #kept: Int32Array[] = [];
  readonly #memoryBlocks: number;
  readonly #name: string;
  /** The block that is being filled. */
  #last = new Int32Array(BLOCK_IDS);
  #length = 0;
  #file: number | undefined;

  /**
   * @param memoryBlocks blocks of 4 MB that are kept in memory
   * @param name what messages call it
   */
  constructor(memoryBlocks = MEMORY_BLOCKS, name = "corpus") {
    this.#memoryBlocks = memoryBlocks;
    this.#name = name;
  }

  get length(): number {
    return this.#length;
  }

  /** @throws ProblemError if the file can't be written */
  append(ids: Int32Array): void {
    for (let from = 0; from < ids.length; ) {
      const at = this.#length % BLOCK_IDS;
      const some = ids.subarray(from, from + BLOCK_IDS - at);
      this.#last.set(some, at);
      from += some.length;
      this.#length += some.length;
      if (at + some.length === BLOCK_IDS) this.#finishBlock();
    }
  }

  /** A copy of the ids from `begin` to before `end`. @throws RangeError for what isn't there */
  subarray(begin: number, end: number): Int32Array {
    if (!(begin >= 0 && begin <= end && end <= this.#length)) throw new RangeError(`no tokens ${begin} to ${end}`);
    const ids = new Int32Array(end - begin);
    for (let at = begin; at < end; ) {
      const block = Math.floor(at / BLOCK_IDS);
      const from = at % BLOCK_IDS;
      const part = ids.subarray(at - begin, Math.min(end, at - from + BLOCK_IDS) - begin);
      const kept = this.#inMemory(block);
      if (kept) part.set(kept.subarray(from, from + part.length));
      else this.#read(part, at - this.#kept.length * BLOCK_IDS);
      at += part.length;
    }
    return ids;
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #inMemory(block: number): Int32Array | undefined {
    if (block < this.#kept.length) return this.#kept[block];
    return block === Math.floor(this.#length / BLOCK_IDS) ? this.#last : undefined;
  }

  #finishBlock(): void {
    if (this.#kept.length < this.#memoryBlocks) {
      this.#kept.push(this.#last);
      this.#last = new Int32Array(BLOCK_IDS);
      return;
    }
    try {
      this.#file ??= openNameless();
      writeAll(this.#file, this.#last, (this.#length - BLOCK_IDS * (this.#kept.length + 1)) * BYTES);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === undefined) throw cause;
      const detail = `The ${this.#name} is larger than what is held in memory, and ${tmpdir()} can't hold the rest of it (${code}). TMPDIR names another folder.`;
      throw new ProblemError(`The ${this.#name} can't be held`, detail, { cause });
    }
  }

  /** @param at in ids, from the file's beginning */
  #read(ids: Int32Array, at: number): void {
    for (let done = 0; done < ids.byteLength; ) {
      const got = readSync(this.#file!, ids, done, ids.byteLength - done, at * BYTES + done);
      if (got === 0) throw new Error("the file of tokens ends before its end");
      done += got;
    }
  }
}

function openNameless(): number {
  const path = join(tmpdir(), `softpost-tokens-${randomUUID()}`);
  const file = openSync(path, "wx+", 0o600);
  rmSync(path);
  return file;
}

function writeAll(file: number, ids: Int32Array, position: number): void {
  for (let done = 0; done < ids.byteLength; ) {
    done += writeSync(file, ids, done, ids.byteLength - done, position + done);
  }
}

/** A part of a stream, which has it. */
export function partOf(tokens: Tokens, begin: number, end: number): Tokens {
  return { length: end - begin, subarray: (from, to) => tokens.subarray(begin + from, begin + to) };
}

/** SHA-256 of the ids as little-endian 32-bit numbers, in hexadecimal digits. */
export function tokensDigest(tokens: Tokens): string {
  const hash = createHash("sha256");
  for (let from = 0; from < tokens.length; from += BLOCK_IDS) {
    const { buffer, byteOffset, byteLength } = tokens.subarray(from, Math.min(tokens.length, from + BLOCK_IDS));
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

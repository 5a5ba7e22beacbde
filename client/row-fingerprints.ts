import { createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { plainText } from "../shared/data/same-text.ts";
import { writeLedgerFile } from "./ledger-file.ts";

/** Bytes of a fingerprint, and those of them that are kept: enough that among millions of rows none is taken for another. */
const FULL_BYTES = 32;
const KEPT_BYTES = 8;
/** Fingerprints of a block; a data set has as many blocks as it takes. */
const BLOCK = 4096;

/** A text that stands more often than this is hardly one person's alone. */
export const OFTEN = 3;

/** Texts that stand often among rows. */
export interface Repeated {
  readonly texts: number;
  readonly rows: number;
  /** How often the most frequent one stands. */
  readonly most: number;
}

/** What a set of rows is known by: keyed fingerprints, which tell nobody without the key what the rows are. */
export interface Fingerprints {
  /** 32 hexadecimal digits: the same for the same texts, whatever their order, labels, file or format, and however often each is there. */
  readonly name: string;
  /** Of every different row, {@link KEPT_BYTES} each, in order. */
  readonly rows: Uint8Array;
  /** Texts that stand more than {@link OFTEN} times. */
  readonly repeated: Repeated;
}

/**
 * The fingerprints of rows: HMAC-SHA256 of their texts. Labels don't count, since a text that is labelled anew is the same person's;
 * neither do the form of white space and of accents, since counting one row as two would spend its privacy twice. Of a row no more than its fingerprint is held.
 *
 * @param key of this machine: a plain digest would give away a guessable text
 */
export async function fingerprint(texts: Iterable<string> | AsyncIterable<string>, key: Buffer): Promise<Fingerprints> {
  const digests = new Digests();
  for await (const text of texts) {
    digests.add(
      createHmac("sha256", key)
        .update(`row\n${plainText(text)}`)
        .digest("hex"),
    );
  }
  const all = createHmac("sha256", key).update("rows\n");
  const rows = new Uint8Array(digests.length * KEPT_BYTES);
  const repeated = { texts: 0, rows: 0, most: 0 };
  let different = 0;
  for (const { digest, count } of digests.sorted()) {
    all.update(`${different === 0 ? "" : "\n"}${Buffer.from(digest).toString("hex")}`);
    rows.set(digest.subarray(0, KEPT_BYTES), different++ * KEPT_BYTES);
    if (count <= OFTEN) continue;
    repeated.texts += 1;
    repeated.rows += count;
    repeated.most = Math.max(repeated.most, count);
  }
  return { name: all.digest("hex").slice(0, 32), rows: rows.slice(0, different * KEPT_BYTES), repeated };
}

/** Digests in blocks of memory. */
class Digests {
  readonly #blocks: Uint8Array[] = [];
  length = 0;

  add(hex: string): void {
    const at = this.length++ % BLOCK;
    if (at === 0) this.#blocks.push(new Uint8Array(BLOCK * FULL_BYTES));
    this.#blocks.at(-1)!.set(Buffer.from(hex, "hex"), at * FULL_BYTES);
  }

  /** Every different one in order, and how often it is there. */
  *sorted(): Generator<{ readonly digest: Uint8Array; readonly count: number }> {
    // Six bytes are exact in a double, and hardly ever alike.
    const firsts = Float64Array.from({ length: this.length }, (_, i) => {
      const digest = this.#at(i);
      return digest.subarray(0, 6).reduce((number, byte) => number * 256 + byte, 0);
    });
    const order = Uint32Array.from(firsts.keys());
    order.sort((a, b) => firsts[a]! - firsts[b]! || Buffer.compare(this.#at(a), this.#at(b)));
    for (let from = 0, to = 0; from < order.length; from = to) {
      const digest = this.#at(order[from]!);
      for (to = from + 1; to < order.length && Buffer.compare(digest, this.#at(order[to]!)) === 0; ) to++;
      yield { digest, count: to - from };
    }
  }

  #at(i: number): Uint8Array {
    const from = (i % BLOCK) * FULL_BYTES;
    return this.#blocks[Math.floor(i / BLOCK)]!.subarray(from, from + FULL_BYTES);
  }
}

/** How many rows there are fingerprints of. */
export const countOf = (rows: Uint8Array): number => Math.floor(rows.length / KEPT_BYTES);

/** Which of some rows are among others, all in order: 1 for those that are. */
export function sharedRows(rows: Uint8Array, others: Uint8Array): Uint8Array {
  const shared = new Uint8Array(countOf(rows));
  for (let i = 0, j = 0; i < rows.length && j + KEPT_BYTES <= others.length; ) {
    const order = Buffer.compare(rows.subarray(i, i + KEPT_BYTES), others.subarray(j, j + KEPT_BYTES));
    if (order === 0) shared[i / KEPT_BYTES] = 1;
    if (order <= 0) i += KEPT_BYTES;
    else j += KEPT_BYTES;
  }
  return shared;
}

/** Keeps the rows' fingerprints in a file, unless it is there already: its name is that of these rows. */
export function keepRows(path: string, { rows }: Fingerprints): void {
  if (existsSync(path)) return;
  writeLedgerFile(path, rows);
}

/** The fingerprints that a file keeps; none if there is no such file, as for a ledger from before they were kept. */
export function keptRows(path: string): Uint8Array {
  return existsSync(path) ? readFileSync(path) : new Uint8Array();
}

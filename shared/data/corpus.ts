import { ProblemError } from "../protocol/errors.ts";
import { CALL, groupedBy } from "./grouped.ts";
import { type Data, partsOf, pathOf, textsOf } from "./jsonl.ts";
import { readLines } from "./rows/json-lines.ts";
import { holdsRows } from "./rows/open.ts";
import { TokenStream, type Tokens } from "./token-stream.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A line that ends a document in a plain-text corpus, as GPT-2's and TinyStories' corpora have it. */
const DOCUMENT_END = "<|endoftext|>";

/** The names of files that hold a document a row, and of files that say nothing of it. */
const ROWS = /\.(?:jsonl|ndjson|json|csv|tsv|parquet)(?:\.gz)?$/i;
const NO_ENDING = /(?:^|[\\/])[^\\/.]+$/;

/**
 * Text is tokenised in pieces of about this many characters: tokenising a whole book at once takes memory many times
 * its size. A piece ends before a space, where the tokenizers of all supported families split anyway.
 */
const PIECE_CHARACTERS = 20_000;

/** A plain document of which so much is read is tokenised so far, whether it has an end or not. */
const MOST_CHARACTERS = 50 * PIECE_CHARACTERS;

/** A piece of a document, and whether it is its last one. */
interface Piece {
  readonly text: string;
  readonly isLast: boolean;
}

/**
 * The token ids of a public corpus, in file order, a document's end token after every document. Memory doesn't grow with it: the caller disposes of the stream.
 *
 * @param files those whose names end in .jsonl, .json, .csv, .tsv or .parquet hold a document a row, as those without an ending that begin as JSON or
 *   Parquet does; others are plain text, whose documents end at a line `<|endoftext|>` or with the file
 * @param onDocument called after every document, with how many tokens there are by now
 * @throws ProblemError if a file can't be read or isn't UTF-8, the tokenizer has no end token, or the model has no embedding for a token
 */
export async function readCorpus(
  files: readonly Data[],
  tokenizer: Tokenizer,
  onDocument?: (tokens: number) => void,
): Promise<TokenStream> {
  const { endId } = tokenizer;
  if (endId === undefined) {
    throw new ProblemError("The tokenizer can't be used", "It has no eos_token, which marks the end of a document.");
  }
  tokenizer.requireEmbedded([endId]);
  const end = Int32Array.of(endId);
  const tokens = new TokenStream();
  try {
    for (const file of files) {
      for await (const group of groupedBy(readPieces(file), CALL, ({ text }) => text.length)) {
        const encoded = await tokenizer.encodePieces(group.map(({ text }) => text));
        for (const [i, { isLast }] of group.entries()) {
          tokens.append(encoded[i]!);
          if (!isLast) continue;
          tokens.append(end);
          onDocument?.(tokens.length);
        }
      }
    }
  } catch (error) {
    tokens[Symbol.dispose]();
    throw error;
  }
  return tokens;
}

/** The documents of one corpus file that are more than white space, in pieces. */
async function* readPieces(data: Data): AsyncGenerator<Piece> {
  const path = pathOf(data);
  const isRows = async (part: string) => ROWS.test(part) || (NO_ENDING.test(part) && (await holdsRows(part)));
  if ((await Promise.all(partsOf(data).map(isRows))).every(Boolean)) {
    for await (const text of textsOf(data)) if (text.trim() !== "") yield* lastPieces(text);
    return;
  }
  const document = new PlainDocument();
  let number = 0;
  for await (const line of readLines(path)) {
    number += 1;
    if (typeof line !== "string") {
      throw new ProblemError("The corpus is not valid", `${path}:${number}: ${line.fault}`);
    }
    yield* line.trim() === DOCUMENT_END ? document.end() : document.add(line);
  }
  yield* document.end();
}

/** A document of plain text, line by line: its beginning is given out while its end isn't there yet. White space around it doesn't belong to it. */
class PlainDocument {
  #lines: string[] = [];
  #length = 0;
  /** Whether something of it was given out. */
  #isBegun = false;

  *add(line: string): Generator<Piece> {
    if (!this.#isBegun && this.#length === 0 && line.trim() === "") return;
    this.#lines.push(line);
    this.#length += line.length + 1;
    if (this.#length < MOST_CHARACTERS) return;
    const cut = [...pieces(`${this.#text()}\n`)];
    const rest = cut.pop()!.slice(0, -1);
    for (const text of cut) yield { text, isLast: false };
    [this.#lines, this.#length, this.#isBegun] = [[rest], rest.length + 1, true];
  }

  *end(): Generator<Piece> {
    const text = this.#text().trimEnd();
    if (this.#isBegun || text !== "") yield* lastPieces(text);
    [this.#lines, this.#length, this.#isBegun] = [[], 0, false];
  }

  #text(): string {
    const text = this.#lines.join("\n");
    return this.#isBegun ? text : text.trimStart();
  }
}

/** What is left of a document. */
function* lastPieces(text: string): Generator<Piece> {
  const cut = [...pieces(text)];
  for (const [i, text] of cut.entries()) yield { text, isLast: i === cut.length - 1 };
}

/** The text in pieces, each cut before a single space between two other characters if there is one in reach. */
function* pieces(text: string): Generator<string> {
  let start = 0;
  while (text.length - start > PIECE_CHARACTERS) {
    const window = text.slice(start, start + PIECE_CHARACTERS);
    const cut = window.search(/\S \S[^ ]*$/) + 1 || window.length;
    yield window.slice(0, cut);
    start += cut;
  }
  yield text.slice(start);
}

/**
 * The rows `[length]` that a stream is cut into, without overlap; what is left at the end is dropped.
 *
 * @returns views into `tokens` if that is an array, else copies
 */
export function chunks(tokens: Tokens, length: number): { readonly ids: Int32Array }[] {
  return Array.from({ length: Math.floor(tokens.length / length) }, (_, i) => ({
    ids: tokens.subarray(i * length, (i + 1) * length),
  }));
}

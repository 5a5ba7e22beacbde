import { ProblemError } from "../protocol/errors.ts";
import { grouped } from "./grouped.ts";
import { type Data, partsOf, pathOf, textsOf } from "./jsonl.ts";
import { readLines } from "./rows/json-lines.ts";
import { holdsRows } from "./rows/open.ts";
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

/**
 * The token ids of a public corpus, in file order, a document's end token after every document.
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
): Promise<Int32Array> {
  const { endId } = tokenizer;
  if (endId === undefined) {
    throw new ProblemError("The tokenizer can't be used", "It has no eos_token, which marks the end of a document.");
  }
  tokenizer.requireEmbedded([endId]);
  const end = Int32Array.of(endId);
  const blocks: Int32Array[] = [];
  let tokens = 0;
  for (const file of files) {
    for await (const documents of grouped(readDocuments(file))) {
      const cut = documents.map((document) => [...pieces(document)]);
      const encoded = await tokenizer.encodePieces(cut.flat());
      let next = 0;
      for (const { length } of cut) {
        const ids = [...encoded.slice(next, next + length), end];
        blocks.push(...ids);
        tokens += ids.reduce((sum, part) => sum + part.length, 0);
        next += length;
        onDocument?.(tokens);
      }
    }
  }
  const all = new Int32Array(tokens);
  let position = 0;
  for (const block of blocks) {
    all.set(block, position);
    position += block.length;
  }
  return all;
}

/** The documents of one corpus file that are more than white space. */
async function* readDocuments(data: Data): AsyncGenerator<string> {
  const path = pathOf(data);
  const isRows = async (part: string) => ROWS.test(part) || (NO_ENDING.test(part) && (await holdsRows(part)));
  if ((await Promise.all(partsOf(data).map(isRows))).every(Boolean)) {
    for await (const text of textsOf(data)) if (text.trim() !== "") yield text;
    return;
  }
  let lines: string[] = [];
  let number = 0;
  for await (const line of readLines(path)) {
    number += 1;
    if (typeof line !== "string") {
      throw new ProblemError("The corpus is not valid", `${path}:${number}: ${line.fault}`);
    }
    if (line.trim() !== DOCUMENT_END) {
      lines.push(line);
      continue;
    }
    const document = lines.join("\n").trim();
    lines = [];
    if (document !== "") yield document;
  }
  const rest = lines.join("\n").trim();
  if (rest !== "") yield rest;
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
 * @returns views into `tokens`, not copies
 */
export function chunks(tokens: Int32Array, length: number): { readonly ids: Int32Array }[] {
  return Array.from({ length: Math.floor(tokens.length / length) }, (_, i) => ({
    ids: tokens.subarray(i * length, (i + 1) * length),
  }));
}

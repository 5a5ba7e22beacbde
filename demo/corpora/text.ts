import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

/** The folder of an installed npm package; throws Node's "Cannot find module" when it isn't installed. */
export function packageFolder(name: string): string {
  return dirname(require.resolve(join(name, "package.json")));
}

/** Makes every run of white space one space and trims the ends. */
export function collapse(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** What two texts that say the same share: lower case, letters only. */
export function fingerprint(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}]+/gu, "");
}

/** A uniform number in [0, 1) that depends on nothing but the text. */
export function hashFraction(text: string): number {
  return createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;
}

/** The items in an order that looks random but depends only on each item's own text. */
export function hashOrder<T>(items: readonly T[], text: (item: T) => string): T[] {
  return items
    .map((item) => ({ item, at: hashFraction(text(item)) }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** Cuts text at sentence ends (or, for a sentence longer than `limit`, at spaces) into pieces of at most `limit` characters. */
export function passages(text: string, limit: number): string[] {
  const pieces: string[] = [];
  let current = "";
  for (const part of text.split(/(?<=[.!?]["')]?)\s+/).flatMap((sentence) => pack(sentence.split(" "), limit))) {
    if (current !== "" && current.length + 1 + part.length > limit) {
      pieces.push(current);
      current = "";
    }
    current = current === "" ? part : `${current} ${part}`;
  }
  if (current !== "") pieces.push(current);
  return pieces;
}

function pack(words: readonly string[], limit: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= limit) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word.slice(0, limit));
  }
  return lines;
}

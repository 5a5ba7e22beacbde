import { isDeepStrictEqual } from "node:util";
import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import { isGeneration, type Task } from "../protocol/task.ts";
import { templateFiller } from "./encode.ts";
import { grouped } from "./grouped.ts";
import { resolveTokenizer } from "./tokenizer/definition.ts";
import type { Json } from "./tokenizer/files.ts";
import { loadTokenizer } from "./tokenizer.ts";

/**
 * Refuses a student and a target whose tokenizers differ: the prompt was tuned on the student's tokens and is transferred, and
 * used, with the target's.
 *
 * @param student the model folders
 * @param texts what is transferred with, for tokenizers whose files differ: they may give the same ids nevertheless. Without texts
 *   the files must say the same
 * @throws ProblemError that says for which text they differ
 */
export async function requireSameTokenizer(
  student: string,
  target: string,
  texts?: (maskToken: string | undefined) => AsyncIterable<string>,
): Promise<void> {
  if (isDeepStrictEqual(await essence(student), await essence(target))) return;
  const title = "The student's tokenizer is not the target's";
  const advice = "Copy the target's tokenizer files into the student's folder, if the student was made with them.";
  if (!texts) throw new ProblemError(title, `The files of ${student} and ${target} differ. ${advice}`, { status: 422 });
  const [small, large] = await Promise.all([loadTokenizer(student), loadTokenizer(target)]);
  if (small.maskToken !== large.maskToken)
    throw new ProblemError(title, `${student} has another mask token than ${target}. ${advice}`, { status: 422 });
  for await (const some of grouped(texts(large.maskToken))) {
    const [given, wanted] = [await small.encode(some), await large.encode(some)];
    const index = given.findIndex((ids, i) => ids.join() !== wanted[i]!.join());
    if (index < 0) continue;
    const detail = `${student} and ${target} give other ids for ${quote(some[index]!)}. ${advice}`;
    throw new ProblemError(title, detail, { status: 422 });
  }
}

/**
 * The texts of a transfer: the template with every label's word (or stop string) and with every public text, and the text that the prompt starts from.
 *
 * @param publicTexts as their file has them
 */
export async function* transferTexts(
  task: Task,
  init: string,
  publicTexts: Iterable<string> | AsyncIterable<string>,
  maskToken: string | undefined,
): AsyncGenerator<string> {
  const fill = templateFiller(task, { maskToken });
  const words = isGeneration(task) ? task.stop : task.labels.flatMap((label) => label.words);
  const said = words.map((word) =>
    task.template.includes("{mask}")
      ? task.template.replace("{mask}", () => word).replace("{text}", "")
      : fill("") + word,
  );
  yield init;
  yield* said;
  for await (const text of publicTexts) yield fill(text);
}

/** What of a tokenizer decides about ids: not how it decodes, nor how its file is written. */
async function essence(folder: string): Promise<unknown> {
  const { definition, named } = await resolveTokenizer(folder);
  const { normalizer, pre_tokenizer, post_processor, added_tokens, model } = definition;
  const { merges, ...rest } = model as Json;
  const pairs = (merges as (string | string[])[] | undefined)?.map((pair) =>
    typeof pair === "string" ? pair.split(" ") : pair,
  );
  return { normalizer, pre_tokenizer, post_processor, added_tokens, model: rest, pairs, mask: named.get("mask_token") };
}

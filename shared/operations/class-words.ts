import { verbalizer } from "../data/verbalizer.ts";
import type { Task } from "../protocol/task.ts";
import type { Watch } from "../training/events.ts";
import { requireClasses } from "./checks.ts";
import type { OpenModel } from "./open-model.ts";

/**
 * The token ids of each class's words, as a model reads them. What the user should know of them is told.
 * @throws ProblemError for a task without labels, or words that can't be used
 */
export async function classWords(
  task: Task,
  { tokenizer }: OpenModel,
  { onEvent }: Watch,
): Promise<readonly Int32Array[]> {
  const { classes, notes } = await verbalizer(requireClasses(task), tokenizer);
  for (const text of notes) onEvent?.({ kind: "note", text });
  return classes;
}

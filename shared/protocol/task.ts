import { z } from "zod";
import { parseJson, validate } from "./json.ts";

/** A name that can be a folder, a URL segment and a column's head without escaping. */
const nameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/, "Must be 1 to 64 letters, digits, spaces, dots, dashes or underscores.");

/** Long enough for any instruction, short enough that a manifest stays a few kilobytes. */
const MAX_TEMPLATE = 2000;
/** Hundreds of classes are the most that text classification data sets have. */
const MAX_LABELS = 1000;
const MAX_WORDS = 50;
/** Above the position limit of the models that are served; the model's own limit is checked when it is known. */
const MAX_LENGTH = 8192;

/** How often `part` is in `text`. */
function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

const labelSchema = z.strictObject({
  name: nameSchema,
  words: z.array(z.string().min(1).max(100)).min(1).max(MAX_WORDS),
});

/**
 * A classification task. `template` holds `{text}` once and, for a masked model, `{mask}` once; everything else in it is
 * literal. A label's `words` are its verbalizer: the words that the model is asked to say for it.
 */
export const taskSchema = z.strictObject({
  name: nameSchema,
  template: z
    .string()
    .max(MAX_TEMPLATE)
    .refine((t) => occurrences(t, "{text}") === 1, "Must hold the placeholder {text} exactly once.")
    .refine((t) => occurrences(t, "{mask}") <= 1, "Must hold the placeholder {mask} at most once."),
  labels: z
    .array(labelSchema)
    .min(2, "Must have at least two labels.")
    .max(MAX_LABELS)
    .refine(
      (labels) => new Set(labels.map(({ name }) => name)).size === labels.length,
      "Two labels have the same name.",
    ),
  /** The instruction whose token embeddings a prompt starts from. */
  init: z.string().min(1).max(MAX_TEMPLATE),
  /** Tokens that a filled template may have, special tokens included, the prompt's not. */
  maxLength: z.int().min(1).max(MAX_LENGTH).default(128),
});

export type Task = z.output<typeof taskSchema>;

/**
 * @param name of the file, for messages
 * @throws ProblemError with every fault and its JSON pointer
 */
export function parseTask(text: string, name: string): Task {
  const title = "The task is not valid";
  return validate(taskSchema, parseJson(text, name, title), name, title);
}

import { z } from "zod";
import { parseJson, quote, validate } from "./json.ts";

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
/** What a stop string and a list of them are at most: enough for any separator. */
const MAX_STOP = 100;
const MAX_STOPS = 16;
/** A short answer; it takes as many steps of the model. */
const MAX_NEW_TOKENS = 1024;

/** How often `part` is in `text`. */
function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** The message for a key that isn't there: what it is for. */
const missing = (what: string) => ({
  error: ({ input }: { readonly input?: unknown }) => (input === undefined ? `Is missing: ${what}` : undefined),
});

const wordSchema = z.string().min(1, "Is empty.").max(100);

const labelSchema = z.strictObject(
  {
    name: nameSchema,
    words: z
      .array(wordSchema, {
        error: ({ input }) => {
          if (typeof input === "string") return `Is one string; words are a list: [${quote(input)}].`;
          return input === undefined ? 'Is missing: the words that stand for the label, such as [" good"].' : undefined;
        },
      })
      .min(1, 'Has no word; it needs one at least, such as [" good"].')
      .max(MAX_WORDS),
  },
  {
    error: ({ code, input }) =>
      code === "invalid_type" && typeof input === "string"
        ? `Is a string; a label is a name and its words: {"name": ${quote(input)}, "words": [${quote(` ${input}`)}]}.`
        : undefined,
  },
);

const templateSchema = z
  .string(missing('how a text is put to the model, such as "{text}\\nIt was". Required.'))
  .max(MAX_TEMPLATE)
  .superRefine((template, context) => {
    for (const message of templateFaults(template)) context.addIssue({ code: "custom", message });
  });

/** What is wrong with a template's placeholder for the text, each with the template as it should be. */
function templateFaults(template: string): string[] {
  const doubled = /\{\{\s*(\w+)\s*\}\}/;
  if (doubled.test(template)) {
    const mended = template.replaceAll(new RegExp(doubled, "g"), (_, name) => `{${name}}`);
    return [`Has double braces, which would be taken literally. A placeholder has one pair: ${quote(mended)}`];
  }
  const count = occurrences(template, "{text}");
  if (count === 1) return [];
  if (count > 1) return [`Has {text} ${count} times; a text is put in once.`];
  const other = [...template.matchAll(/\{(\w+)\}/g)].find(([, name]) => name !== "mask" && name !== "target");
  const mended = other ? template.replace(other[0], "{text}") : `{text}\n${template}`;
  return [
    `${other ? `Has ${quote(other[0])} where the text's placeholder, {text}, should be` : "Lacks the placeholder {text}, where a row's text is put in"}: ${quote(mended)}`,
  ];
}

/** The instruction whose token embeddings a prompt starts from. */
const initSchema = z
  .string(missing('the instruction that a prompt starts from, such as "Say if the film is good or bad." Required.'))
  .min(1, 'Is empty: the instruction that a prompt starts from, such as "Say if the film is good or bad."')
  .max(MAX_TEMPLATE);

/** Tokens that a filled template (with the target, if it is filled too) may have, special tokens included, the prompt's not. */
const lengthSchema = z.int().min(1).max(MAX_LENGTH).default(128);

/**
 * A task whose answer is one of some labels. `template` holds `{text}` once and, for a masked model, `{mask}` once; everything else in
 * it is literal. A label's `words` are its verbalizer: the words that the model is asked to say for it.
 */
export const classificationSchema = z.strictObject({
  name: nameSchema,
  kind: z.literal("classification").optional(),
  template: templateSchema.refine(
    (t) => occurrences(t, "{mask}") <= 1,
    "Must hold the placeholder {mask} at most once.",
  ),
  labels: z
    .array(
      labelSchema,
      missing('the answers, such as [{"name": "good", "words": [" good"]}, …]. Required, two at least.'),
    )
    .min(2, "Must have at least two labels.")
    .max(MAX_LABELS)
    .refine(
      (labels) => new Set(labels.map(({ name }) => name)).size === labels.length,
      "Two labels have the same name.",
    ),
  init: initSchema,
  maxLength: lengthSchema,
});

/**
 * A task whose answer is text: a causal model goes on behind the filled `template`. In training the answer is `target`, which holds
 * `{target}` once, filled, and the first stop string, or the model's end token where there is none. Decoding ends at any stop string or
 * end token, and after `maxNewTokens`.
 */
const generationSchema = z.strictObject({
  name: nameSchema,
  kind: z.literal("generation"),
  template: templateSchema.refine(
    (t) => !t.includes("{mask}"),
    "Must not hold {mask}: a masked model can't continue a text.",
  ),
  target: z
    .string()
    .max(MAX_TEMPLATE)
    .refine((t) => occurrences(t, "{target}") === 1, "Must hold the placeholder {target} exactly once."),
  stop: z.array(z.string().min(1, "Must not be empty.").max(MAX_STOP)).max(MAX_STOPS).default([]),
  init: initSchema,
  maxLength: lengthSchema,
  maxNewTokens: z.int().min(1).max(MAX_NEW_TOKENS).default(32),
});

/** A task of either kind; one that names none is a classification, as all were once. */
export const taskSchema = z.discriminatedUnion("kind", [classificationSchema, generationSchema], {
  error: ({ code }) =>
    code === "invalid_union"
      ? 'Is no kind of task that this softpost knows: "classification" or "generation". A newer one may know it.'
      : undefined,
});

export type ClassificationTask = z.output<typeof classificationSchema>;
export type GenerationTask = z.output<typeof generationSchema>;
export type Task = ClassificationTask | GenerationTask;

/** Whether the task's answer is text. */
export function isGeneration(task: Task): task is GenerationTask {
  return task.kind === "generation";
}

/**
 * @param name of the file, for messages
 * @throws ProblemError with every fault and its JSON pointer
 */
export function parseTask(text: string, name: string): Task {
  const title = "The task is not valid";
  return validate(taskSchema, parseJson(text, name, title), name, title);
}

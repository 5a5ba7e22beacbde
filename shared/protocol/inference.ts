/** The bodies of the inference routes, in the form of OpenAI's API (platform.openai.com/docs/api-reference). */
import { z } from "zod";
import { type Fault, ProblemError } from "./errors.ts";
import { MAX_FAULTS, quote } from "./json.ts";
import { classificationSchema } from "./task.ts";

export const ENDPOINTS = ["completions", "chat/completions", "classify"] as const;

export const endpointSchema = z.enum(ENDPOINTS);

export type Endpoint = z.output<typeof endpointSchema>;

/** A few times the longest text that a model has positions for; it is held in memory while the request waits. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** OpenAI's. */
export const MAX_STOPS = 4;
/** Enough for any separator. What may become one is held back from a stream. */
const MAX_STOP = 100;
/** Rows that one request may have of a batch: prompts times choices. */
export const MAX_ROWS = 64;
/** Texts of one request to classify. */
const MAX_INPUTS = 256;
/** Bytes of a task that a request brings: its words are tokenised for every request. */
const MAX_TASK_BYTES = 16 * 1024;
/** Messages of one chat. */
const MAX_MESSAGES = 512;
/** OpenAI's: of a completion, and of a chat. */
const MAX_LOGPROBS = 5;
const MAX_TOP_LOGPROBS = 20;
/** Above the positions of the models that are served; the model's own limit is checked when it is known. */
const MAX_NEW_TOKENS = 8192;
/** New tokens where a request doesn't say: of a completion OpenAI's, of a chat a short answer. */
const COMPLETION_TOKENS = 16;
const CHAT_TOKENS = 256;

/** OpenAI's clients may write null for a parameter that they leave out. */
function optional<S extends z.ZodType, const D extends z.output<S>>(schema: S, value: D) {
  return schema.nullish().transform((given): z.output<S> => given ?? value);
}

/** A parameter that isn't supported: only what changes nothing may be said. */
function unsupported<const V extends boolean | number | string>(value: V) {
  return z.literal(value, { error: "Is not supported: leave it out." }).nullish();
}

const modelName = z.string().min(1).max(256);
const newTokens = z.int().min(1).max(MAX_NEW_TOKENS);
const stopString = z.string().min(1, "Must not be empty.").max(MAX_STOP);
const tokenIds = z.array(z.int().nonnegative().max(0x7fff_ffff)).min(1, "Must have a token.");

const decoding = {
  model: modelName,
  temperature: optional(z.number().min(0).max(2), 1),
  top_p: optional(z.number().gt(0).max(1), 1),
  n: optional(z.int().min(1).max(MAX_ROWS), 1),
  stop: z
    .union([stopString, z.array(stopString).max(MAX_STOPS)])
    .nullish()
    .transform((stop) => [stop ?? []].flat()),
  seed: z.int().nullish(),
  stream: optional(z.boolean(), false),
  stream_options: z
    .strictObject({ include_usage: optional(z.boolean(), false), include_obfuscation: unsupported(false) })
    .nullish(),
  user: z.string().max(512).nullish(),
  frequency_penalty: unsupported(0),
  presence_penalty: unsupported(0),
  logit_bias: z
    .record(z.string(), z.unknown())
    .refine((bias) => Object.keys(bias).length === 0, "Is not supported: leave it out.")
    .nullish(),
} as const;

function checkStream(
  { stream, stream_options }: { readonly stream: boolean; readonly stream_options?: unknown },
  context: z.core.$RefinementCtx,
): void {
  if (stream || stream_options === undefined || stream_options === null) return;
  context.addIssue({ code: "custom", path: ["stream_options"], message: "Needs stream to be true." });
}

/** `prompts` are what the body calls `prompt`: texts, or tokens. */
export const completionSchema = z
  .strictObject({
    ...decoding,
    prompt: z
      .union([z.string(), z.array(z.string()).min(1), tokenIds, z.array(tokenIds).min(1)], {
        error: "Must be a text, texts, or token ids.",
      })
      .transform((prompt): readonly (string | readonly number[])[] => {
        if (typeof prompt === "string") return [prompt];
        return typeof prompt[0] === "number" ? [prompt as number[]] : (prompt as string[] | number[][]);
      }),
    max_tokens: optional(newTokens, COMPLETION_TOKENS),
    logprobs: z.int().min(0).max(MAX_LOGPROBS).nullish(),
    best_of: unsupported(1),
    echo: unsupported(false),
    suffix: unsupported(""),
  })
  .superRefine(checkStream)
  .superRefine(({ prompt, n }, context) => {
    if (prompt.length * n <= MAX_ROWS) return;
    const message = `Prompts times n make ${prompt.length * n}; at most ${MAX_ROWS} are taken.`;
    context.addIssue({ code: "custom", path: ["prompt"], message });
  });

export type CompletionRequest = z.output<typeof completionSchema>;

const messageSchema = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: z
    .union([z.string(), z.array(z.strictObject({ type: z.literal("text"), text: z.string() }))], {
      error: "Must be a text, or parts of type text.",
    })
    .transform((content) => (typeof content === "string" ? content : content.map(({ text }) => text).join(""))),
});

export const chatSchema = z
  .strictObject({
    ...decoding,
    messages: z.array(messageSchema).min(1).max(MAX_MESSAGES),
    max_tokens: newTokens.nullish(),
    max_completion_tokens: newTokens.nullish(),
    logprobs: optional(z.boolean(), false),
    top_logprobs: z.int().min(0).max(MAX_TOP_LOGPROBS).nullish(),
    response_format: z.strictObject({ type: z.literal("text") }, "Only text is supported.").nullish(),
  })
  .superRefine(checkStream)
  .superRefine(({ logprobs, top_logprobs, max_tokens, max_completion_tokens }, context) => {
    if (!logprobs && (top_logprobs ?? null) !== null) {
      context.addIssue({ code: "custom", path: ["top_logprobs"], message: "Needs logprobs to be true." });
    }
    if ((max_tokens ?? null) !== null && (max_completion_tokens ?? null) !== null) {
      context.addIssue({ code: "custom", path: ["max_tokens"], message: "Is max_completion_tokens by its old name." });
    }
  })
  .transform(({ max_tokens, max_completion_tokens, ...rest }) => ({
    ...rest,
    max_tokens: max_completion_tokens ?? max_tokens ?? CHAT_TOKENS,
  }));

export type ChatRequest = z.output<typeof chatSchema>;

/** softpost's own: texts that go into the template of the prompt's task, or for a target by itself of the task that the request brings. */
export const classifySchema = z.strictObject({
  model: modelName,
  task: classificationSchema
    .refine(
      (task) => new TextEncoder().encode(JSON.stringify(task)).length <= MAX_TASK_BYTES,
      `Has more than ${MAX_TASK_BYTES} bytes.`,
    )
    .nullish()
    .describe("For a target by itself, what is asked of it. A transferred prompt has its own."),
  input: z
    .union([z.string(), z.array(z.string()).min(1).max(MAX_INPUTS)], { error: "Must be a text, or texts." })
    .transform((input) => [input].flat()),
  user: z.string().max(512).nullish(),
});

export type ClassifyRequest = z.output<typeof classifySchema>;

const requestSchemas = {
  completions: completionSchema,
  "chat/completions": chatSchema,
  classify: classifySchema,
} as const;

/**
 * The request that a body is.
 * @param body parsed JSON
 * @throws ProblemError with every fault, by the parameter's name
 */
export function parseInference<E extends Endpoint>(endpoint: E, body: unknown): z.output<(typeof requestSchemas)[E]> {
  const parsed = requestSchemas[endpoint].safeParse(body);
  if (parsed.success) return parsed.data as z.output<(typeof requestSchemas)[E]>;
  const faults = parsed.error.issues.flatMap(faultsOf).slice(0, MAX_FAULTS);
  const detail = `The body has ${faults.length === 1 ? "a fault" : `${faults.length} faults`}.`;
  throw new ProblemError("The request is not valid", detail, { faults });
}

function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  const at = (...more: string[]) =>
    `body#${[...issue.path.map(String), ...more].map((part) => `/${quote(part).slice(1, -1)}`).join("")}`;
  if (issue.code !== "unrecognized_keys") return [{ at: at(), message: issue.message }];
  return issue.keys.map((key) => ({ at: at(key), message: "Is not supported: leave it out." }));
}

/**
 * The answers of the inference routes, in the form of OpenAI's API (platform.openai.com/docs/api-reference). They may have more fields: another server's are
 * handed on as they come.
 */
import { z } from "zod";

const usage = z
  .looseObject({
    prompt_tokens: z.int(),
    completion_tokens: z.int(),
    total_tokens: z.int(),
  })
  .describe("Tokens that were read and written.");

const head = {
  id: z.string(),
  created: z.int().describe("Seconds since 1970."),
  model: z.string().describe("As it was asked for."),
};

const index = z.int().describe("Of the answer; those of a prompt stand together.");
const finish = z.string().describe('"stop" or "length"; null in the middle of a stream.').nullable();

const completionChoice = z.looseObject({
  index,
  text: z.string(),
  logprobs: z
    .looseObject({
      tokens: z.array(z.string()),
      token_logprobs: z.array(z.number().nullable()),
      top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullable(),
      text_offset: z.array(z.int()),
    })
    .nullish(),
  finish_reason: finish,
});

/** An answer of `/v1/completions`. An event of its stream has the same form; its `usage` is null or left out but in the last one. */
export const completionAnswerSchema = z.looseObject({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(completionChoice),
  usage: usage.nullish(),
});

const logprob = { token: z.string(), logprob: z.number(), bytes: z.array(z.int()).nullable() };

/** An answer of `/v1/chat/completions`. */
export const chatAnswerSchema = z.looseObject({
  ...head,
  object: z.literal("chat.completion"),
  choices: z.array(
    z.looseObject({
      index,
      message: z.looseObject({ role: z.literal("assistant"), content: z.string().nullable() }),
      logprobs: z
        .looseObject({
          content: z.array(z.looseObject({ ...logprob, top_logprobs: z.array(z.looseObject(logprob)) })).nullable(),
        })
        .nullish(),
      finish_reason: finish,
    }),
  ),
  usage: usage.nullish(),
});

/** An answer of `/v1/classify`. */
export const classifyAnswerSchema = z.looseObject({
  object: z.literal("list"),
  model: head.model,
  data: z.array(
    z.looseObject({
      index: z.int().describe("Of the text."),
      label: z.string(),
      probabilities: z.record(z.string(), z.number()).describe("Of every label of the task."),
    }),
  ),
  usage,
});

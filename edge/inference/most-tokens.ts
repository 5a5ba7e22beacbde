import type { ChatRequest, ClassifyRequest, CompletionRequest } from "../../shared/protocol/inference.ts";
import type { Tokens } from "../../shared/protocol/metering.ts";
import type { ClassificationTask } from "../../shared/protocol/task.ts";

/** Special tokens that a tokenizer may put around a text. */
const SPECIAL = 8;
/** Tokens that a chat template may write around the messages, and around each. */
const CHAT = 512;
const MESSAGE = 16;

const encoder = new TextEncoder();

/** The most tokens that a text can have: no tokenizer here makes more than one of a byte. */
function textTokens(text: string): number {
  return encoder.encode(text).length + SPECIAL;
}

/** The most tokens that a completion can use. */
export function completionTokens({ prompt, n, max_tokens }: CompletionRequest): Tokens {
  const tokens = prompt.map((each) => (typeof each === "string" ? textTokens(each) : each.length + SPECIAL));
  return { prompt: sum(tokens), completion: prompt.length * n * max_tokens };
}

/** The most tokens that a chat's answers can use. */
export function chatTokens({ messages, n, max_tokens }: ChatRequest): Tokens {
  const tokens = messages.map(({ content }) => textTokens(content) + MESSAGE);
  return { prompt: CHAT + sum(tokens), completion: n * max_tokens };
}

/** The most tokens that texts in a task's template can have. */
export function classifyTokens({ input }: ClassifyRequest, { template, maxLength }: ClassificationTask): Tokens {
  const around = textTokens(template);
  return { prompt: sum(input.map((text) => Math.min(maxLength, textTokens(text) + around))), completion: 0 };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

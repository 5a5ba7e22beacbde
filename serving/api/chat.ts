import { Buffer } from "node:buffer";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { ChatRequest } from "../../shared/protocol/inference.ts";
import type { Likely, LikelyToken } from "../engine/log-probabilities.ts";
import { continueTexts, decodingOf } from "./decoding.ts";
import { type RequestContext, usageOf, type Work } from "./request.ts";
import { encodeRendered } from "./texts.ts";

/** POST /v1/chat/completions */
export function chat<P>(request: ChatRequest, context: RequestContext<P>): Work {
  const { messages, n, stream, stream_options, logprobs, top_logprobs } = request;
  const { renderChat } = context.service;
  if (!renderChat) {
    const detail = "Its tokenizer has no chat template; use /v1/completions.";
    throw new ProblemError("The model takes no chats", detail);
  }
  const head = { id: context.id, created: Math.floor(Date.now() / 1000), model: context.model };
  const chunk = { ...head, object: "chat.completion.chunk" };
  const logprobsIn = (tokens: readonly Likely[]) => (logprobs ? { content: tokens.map(tokenOf), refusal: null } : null);
  const wantsUsage = stream_options?.include_usage === true;
  return {
    streamed: stream,
    rows: n,
    async run(emit) {
      const text = await encodeRendered(context.service, renderChat(messages));
      const told = new Set<number>();
      const send = (index: number, delta: object, more: object = {}) => {
        const choice = { index, delta, logprobs: null, finish_reason: null, ...more };
        emit({ ...chunk, choices: [choice], ...(wantsUsage && { usage: null }) });
      };
      const decoding = decodingOf(request, logprobs ? (top_logprobs ?? 0) : undefined);
      const done = await continueTexts(context, [text], decoding, n, (index, piece) => {
        if (!told.has(index)) send(index, { role: "assistant", content: "" });
        told.add(index);
        const delta = piece.text === "" ? {} : { content: piece.text };
        send(index, delta, { logprobs: logprobsIn(piece.tokens), finish_reason: piece.finish ?? null });
      });
      const usage = usageOf(done.promptTokens, done.completionTokens);
      if (wantsUsage) emit({ ...chunk, choices: [], usage });
      const choices = done.answers.map(({ text: content, tokens, finish }, index) => ({
        index,
        message: { role: "assistant", content, refusal: null },
        logprobs: logprobsIn(tokens),
        finish_reason: finish ?? null,
      }));
      return { ...head, object: "chat.completion", choices, usage };
    },
  };
}

function tokenOf({ top, ...own }: Likely) {
  return { ...withBytes(own), top_logprobs: top.map(withBytes) };
}

/** Of part of a character, the bytes aren't known. */
function withBytes({ token, logprob }: LikelyToken) {
  return { token, logprob, bytes: token.includes("\ufffd") ? null : [...Buffer.from(token)] };
}

import type { CompletionRequest } from "../../shared/protocol/inference.ts";
import type { Likely } from "../engine/log-probabilities.ts";
import { continueTexts, decodingOf } from "./decoding.ts";
import { type RequestContext, usageOf, type Work } from "./request.ts";
import { encodeTexts } from "./texts.ts";

/** POST /v1/completions */
export function completions<P>(request: CompletionRequest, context: RequestContext<P>): Work {
  const { prompt, n, stream, stream_options, logprobs } = request;
  const head = {
    id: context.id,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model: context.model,
  };
  const wantsLogprobs = (logprobs ?? null) !== null;
  const choice = (
    index: number,
    text: string,
    tokens: readonly Likely[],
    finish: string | undefined,
    offset: number,
  ) => ({
    index,
    text,
    logprobs: wantsLogprobs ? logprobsOf(tokens, offset) : null,
    finish_reason: finish ?? null,
  });
  const wantsUsage = stream_options?.include_usage === true;
  return {
    streamed: stream,
    rows: prompt.length * n,
    async run(emit) {
      const texts = await encodeTexts(context.service, prompt);
      const offsets: number[] = new Array(texts.length * n).fill(0);
      const decoding = decodingOf(request, logprobs ?? undefined);
      const done = await continueTexts(context, texts, decoding, n, (index, { text, tokens, finish }) => {
        const choices = [choice(index, text, tokens, finish, offsets[index]!)];
        for (const { token } of tokens) offsets[index]! += token.length;
        emit({ ...head, choices, ...(wantsUsage && { usage: null }) });
      });
      const usage = usageOf(done.promptTokens, done.completionTokens);
      if (wantsUsage) emit({ ...head, choices: [], usage });
      const choices = done.answers.map(({ text, tokens, finish }, i) => choice(i, text, tokens, finish, 0));
      return { ...head, choices, usage };
    },
  };
}

/** OpenAI's older form. Offsets are counted from the answer's beginning. */
function logprobsOf(tokens: readonly Likely[], offset: number) {
  let at = offset;
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) => Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))),
    text_offset: tokens.map(({ token }) => {
      const own = at;
      at += token.length;
      return own;
    }),
  };
}

import { z } from "zod";
import { eventData } from "../../shared/protocol/event-stream.ts";
import type { Piece } from "../engine/choice.ts";
import type { Likely } from "../engine/log-probabilities.ts";

const logprobsSchema = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullish(),
});

/** What is read of vLLM's events; it may say more. */
const eventSchema = z.object({
  choices: z.array(
    z.object({
      index: z.int().nonnegative(),
      text: z.string(),
      finish_reason: z.string().nullish(),
      logprobs: logprobsSchema.nullish(),
    }),
  ),
  usage: z.object({ completion_tokens: z.int().nonnegative().nullish() }).nullish(),
});

/** An event: what is new of a choice, and how many tokens it has by now; at the end of no choice, and how many all have. */
export interface VllmEvent {
  readonly pieces: readonly { readonly choice: number; readonly piece: Piece }[];
  readonly completionTokens: number | undefined;
}

/**
 * The events of a stream of vLLM's /v1/completions.
 * @param top how many of the likeliest tokens are told; vLLM adds the one that was taken
 * @throws Error if it ends without [DONE], or says an error, or an end that is none (its engine gave up)
 */
export async function* vllmEvents(stream: AsyncIterable<Uint8Array>, top: number): AsyncGenerator<VllmEvent> {
  for await (const data of eventData(stream)) {
    if (data === "[DONE]") return;
    const event = eventSchema.safeParse(JSON.parse(data));
    if (!event.success) throw new Error("vLLM said an error in the middle of a stream");
    const { choices, usage } = event.data;
    const pieces = choices.map(({ index, text, finish_reason, logprobs }) => ({
      choice: index,
      piece: { text, tokens: logprobs ? likelyOf(logprobs, top) : [], finish: finishOf(finish_reason) },
    }));
    yield { pieces, completionTokens: usage?.completion_tokens ?? undefined };
  }
  throw new Error("vLLM's stream broke off");
}

function finishOf(reason: string | null | undefined): Piece["finish"] {
  if (reason === null || reason === undefined) return undefined;
  if (reason === "stop" || reason === "length") return reason;
  throw new Error("vLLM gave an answer up");
}

function likelyOf({ tokens, token_logprobs, top_logprobs }: z.output<typeof logprobsSchema>, top: number): Likely[] {
  return tokens.map((token, i) => ({
    token,
    logprob: token_logprobs[i] ?? 0,
    top: Object.entries(top_logprobs?.[i] ?? {})
      .map(([other, logprob]) => ({ token: other, logprob }))
      .sort((a, b) => b.logprob - a.logprob)
      .slice(0, top),
  }));
}

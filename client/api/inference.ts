import { z } from "zod";
import { chunksOf } from "../../shared/protocol/chunks.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { eventData } from "../../shared/protocol/event-stream.ts";
import { type classifyAnswerSchema, completionAnswerSchema } from "../../shared/protocol/inference-answers.ts";
import { parsedOrUndefined } from "../../shared/protocol/json.ts";
import type { ClassificationTask } from "../../shared/protocol/task.ts";
import { OPERATIONS } from "./operations.ts";
import { pause } from "./pause.ts";
import { sending, type Transport } from "./transport.ts";

/** How often a request is sent again that the provider has no room for at the moment. */
const TRIES = 6;
const WAIT_MS = { first: 1000, most: 15_000 };

/** An event of a stream, in which an error may be where the rest would. */
const partSchema = z.union([
  z.object({ error: z.object({ message: z.string() }) }),
  z.object({ choices: completionAnswerSchema.shape.choices }),
]);

/** What `softpost predict` prints of a text. */
export type RemotePrediction = Pick<z.output<typeof classifyAnswerSchema>["data"][number], "label" | "probabilities">;

export interface CompletionOptions {
  readonly model: string;
  readonly prompt: string;
  readonly max_tokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly top_p?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly seed?: number | undefined;
}

/** A completion as it comes. */
export type CompletionEvent =
  | { readonly kind: "text"; readonly text: string }
  /** @property reason "stop" or "length" */
  | { readonly kind: "end"; readonly reason: string };

/**
 * Asks for a completion.
 *
 * @param signal stops it: at the provider too
 * @throws ProblemError if it is refused, breaks off or isn't understood
 */
export async function* complete(
  api: Transport,
  options: CompletionOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<CompletionEvent, void> {
  const init = { ...sending("POST", { ...options, stream: true }), ...(signal && { signal }) };
  const response = await api.request("/v1/completions", init);
  let finish: string | null = null;
  for await (const data of eventData(chunksOf(response.body!))) {
    if (data === "[DONE]" && finish !== null) {
      yield { kind: "end", reason: finish };
      return;
    }
    const part = partSchema.safeParse(parsedOrUndefined(data));
    if (!part.success) throw new ProblemError("The provider's answer is not understood", "Is it another version?");
    const { data: event } = part;
    if ("error" in event) throw new ProblemError("The answer broke off", event.error.message, { status: 502 });
    for (const { text, finish_reason } of event.choices) {
      if (text !== "") yield { kind: "text", text };
      finish = finish_reason ?? finish;
    }
  }
  throw new ProblemError("The answer broke off", "The provider ended it in the middle; ask again.", { status: 503 });
}

/** Texts to label. */
interface Classified {
  readonly model: string;
  readonly input: readonly string[];
  /** What is asked of a target by itself; a transferred prompt has its own. */
  readonly task?: ClassificationTask | undefined;
}

/**
 * Labels texts, in their order; what the provider has no room for is sent again for a while.
 *
 * @throws ProblemError if it is refused, or the answer isn't one to these texts
 */
export async function classify(
  api: Transport,
  asked: Classified,
  signal: AbortSignal | undefined,
): Promise<RemotePrediction[]> {
  const { input } = asked;
  const init = { ...sending("POST", asked), ...(signal && { signal }) };
  const { path, answer: schema } = OPERATIONS.classify;
  const { data } = await patiently(() => api.json(path, schema, init), signal);
  if (data.length !== input.length || data.some(({ index }, i) => index !== i)) {
    const detail = `It has ${data.length} labels for ${input.length} texts, or another order.`;
    throw new ProblemError("The provider's answer is not understood", detail, { status: 502 });
  }
  return data.map(({ label, probabilities }) => ({ label, probabilities }));
}

async function patiently<T>(action: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  for (let attempt = 1, wait = WAIT_MS.first; ; attempt++, wait = Math.min(2 * wait, WAIT_MS.most)) {
    try {
      return await action();
    } catch (error) {
      const passes = error instanceof ProblemError && [429, 503].includes(error.status);
      if (!passes || attempt === TRIES || signal?.aborted) throw error;
      await pause(wait, signal);
    }
  }
}

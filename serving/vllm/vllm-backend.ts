import { torchFile } from "../../shared/data/torch-file.ts";
import type { Value } from "../../shared/graph/graph.ts";
import { readRows } from "../../shared/models/weights.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Backend, Decoding, Progress, Prompted } from "../backend.ts";
import type { Piece } from "../engine/choice.ts";
import { log, whereOf } from "../log.ts";
import type { Kept } from "../prompts/prompt-cache.ts";
import { vllmEvents } from "./vllm-events.ts";

export interface VllmOptions {
  /** Where it listens, started with --enable-prompt-embeds. */
  readonly url: string;
  /** What it calls the model. */
  readonly model: string;
}

/**
 * vLLM computes; this process looks the tokens' embeddings up in the target's checkpoint and puts the soft prompt before them. What
 * vLLM refuses is never sent again.
 */
export class VllmBackend implements Backend<Value> {
  readonly #target: OpenModel;
  readonly #options: VllmOptions;
  #rows = 0;

  /** @throws ProblemError for a masked model, which vLLM doesn't continue texts with */
  constructor(target: OpenModel, options: VllmOptions) {
    if (target.model.kind === "masked") {
      throw new ProblemError("The serving process can't start", "vLLM continues texts with causal models only.");
    }
    this.#target = target;
    this.#options = options;
  }

  /** What waits is in vLLM's own queue. */
  get load() {
    return { waiting: 0, rows: this.#rows };
  }

  async prepare(value: Value): Promise<Kept<Value>> {
    return { value, bytes: value.data.byteLength };
  }

  async release(): Promise<void> {}

  async complete(
    { ids, prompt }: Prompted<Value>,
    decoding: Decoding,
    choices: number,
    which: number,
    onPiece: (choice: number, piece: Piece) => void,
    { signal, onPrompt, onCompletion }: Progress,
  ): Promise<void> {
    const embeds = await this.#embed(ids, prompt);
    if (signal.aborted) return;
    this.#rows += choices;
    try {
      onPrompt(ids.length);
      const body = { ...requestOf(decoding, choices, which), model: this.#options.model, prompt_embeds: embeds };
      const stream = await this.#post(body, signal);
      const made: number[] = new Array(choices).fill(0);
      let told = 0;
      for await (const { pieces, completionTokens } of vllmEvents(stream, decoding.logprobs ?? 0)) {
        for (const { choice, piece } of pieces) made[choice] = completionTokens ?? made[choice]! + tokensIn(piece);
        // The last event has no choice, and counts all of them.
        const now = pieces.length === 0 ? (completionTokens ?? told) : made.reduce((a, b) => a + b, 0);
        if (now > told) onCompletion(now - told);
        told = Math.max(told, now);
        for (const { choice, piece } of pieces) onPiece(choice, piece);
      }
    } catch (error) {
      // Who hung up needs no answer, and vLLM has stopped too.
      if (signal.aborted) return;
      if (error instanceof ProblemError) throw error;
      log("vLLM failed", { error: whereOf(error) });
      throw unavailable("The model's server failed in the middle of an answer; try again.");
    } finally {
      this.#rows -= choices;
    }
  }

  async close(): Promise<void> {}

  /** Prompt and text as what `torch.load` reads, in base64: `[P + T, D]`, float32. */
  async #embed(ids: Int32Array, prompt: Value | undefined): Promise<string> {
    const { checkpoint } = this.#target;
    const rows = await readRows(checkpoint, checkpoint.family.embeddings(checkpoint.config)[0]!, ids);
    const soft = prompt?.data ?? new Float32Array();
    const values = new Float32Array(soft.length + rows.length);
    values.set(soft);
    values.set(rows, soft.length);
    const { width } = checkpoint.config;
    return Buffer.from(torchFile(values, values.length / width, width)).toString("base64");
  }

  async #post(body: object, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const init = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    };
    const response = await fetch(new URL("/v1/completions", this.#options.url), init).catch((error: unknown) => {
      if (signal.aborted) throw error;
      log("vLLM not reached", { error: whereOf(error) });
      throw unavailable("The model's server can't be reached; try again.");
    });
    if (response.ok && response.body) return response.body;
    // What it says may quote the request.
    await response.body?.cancel();
    log("vLLM refused", { status: response.status });
    throw refusal(response.status);
  }
}

/** A request in vLLM's words. With a seed, each text of a request draws its own. */
function requestOf({ maxNewTokens, temperature, topP, seed, stop, logprobs }: Decoding, n: number, which: number) {
  return {
    max_tokens: maxNewTokens,
    temperature,
    top_p: topP,
    n,
    ...(seed !== undefined && { seed: seed + which }),
    ...(stop.length > 0 && { stop }),
    ...(logprobs !== undefined && { logprobs }),
    stream: true,
    // vLLM's own: counts with every event, so that who hangs up is charged for what was made.
    stream_options: { include_usage: true, continuous_usage_stats: true },
  };
}

/** Where it says no counts: an event has a token at least. */
function tokensIn({ tokens }: Piece): number {
  return Math.max(1, tokens.length);
}

function refusal(status: number): ProblemError {
  if (status === 429 || status >= 500) return unavailable("The model's server is busy or failed; try again.");
  if (status === 400 || status === 413 || status === 422) {
    const detail =
      "Most often prompt, text and answer are together longer than it was started for (its max-model-len).";
    return new ProblemError("The model's server refuses the request", detail);
  }
  const detail = "It isn't set up for this model; tell the provider.";
  return new ProblemError("The model's server refuses the request", detail, { status: 500 });
}

function unavailable(detail: string): ProblemError {
  return new ProblemError("The model's server can't answer", detail, { status: 503 });
}

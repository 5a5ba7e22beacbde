import { makeBatch } from "../../shared/data/batches.ts";
import { Engine, type Graph, type Session, type Value } from "../../shared/graph/engine.ts";
import type { Device } from "../../shared/graph/graph.ts";
import { input } from "../../shared/graph/tensor.ts";
import { readHidden } from "../../shared/models/forward.ts";
import type { Model } from "../../shared/models/model.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { type EncodedText, ROWS_AT_ONCE, textFeeds, textInputs } from "../../shared/training/texts.ts";
import type { Backend, Progress, Prompted } from "../backend.ts";
import type { Kept } from "../prompts/prompt-cache.ts";
import { nobodyWaits } from "./jobs.ts";

interface Question {
  readonly text: Prompted<Value> & EncodedText;
  readonly progress: Progress;
  readonly resolve: (scores: Float32Array) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The engine of this process, for masked models, which classify and continue nothing. A prompt sees its text there, so only texts of
 * one prompt share a batch.
 */
export class MaskedBackend implements Backend<Value> {
  readonly #engine: Engine;
  readonly #model: Model;
  readonly #questions: Question[] = [];
  /** The graph for prompts of so many virtual tokens, 0 for none. Nearly all have as many, and each graph holds the weights. */
  #loaded: { readonly virtualTokens: number; readonly session: Session } | undefined;
  #running = false;

  constructor(model: Model, options: { readonly threads: number; readonly device: Device }) {
    this.#engine = new Engine(options);
    this.#model = model;
  }

  get load() {
    return { waiting: this.#questions.length, rows: 0 };
  }

  async prepare(value: Value): Promise<Kept<Value>> {
    return { value, bytes: value.data.byteLength };
  }

  async release(): Promise<void> {}

  async complete(): Promise<void> {
    const detail = "It is a masked model (RoBERTa, BERT), which classifies only; use /v1/classify.";
    throw new ProblemError("The model can't continue a text", detail);
  }

  readonly ask = (text: Prompted<Value> & EncodedText, progress: Progress): Promise<Float32Array> =>
    new Promise((resolve, reject) => {
      this.#questions.push({ text, progress, resolve, reject });
      if (!this.#running) void this.#work();
    });

  async close(): Promise<void> {
    await this.#engine.close();
  }

  async #work(): Promise<void> {
    this.#running = true;
    while (this.#questions.length > 0) {
      const batch = this.#nextBatch();
      try {
        if (batch.length > 0) await this.#answer(batch);
      } catch (error) {
        for (const { reject } of batch) reject(error as Error);
      }
      // Whatever came meanwhile is heard.
      await new Promise(setImmediate);
    }
    this.#running = false;
  }

  /** The questions with the prompt of the first; those that nobody waits for are gone. */
  #nextBatch(): Question[] {
    const waiting = this.#questions.splice(0);
    const wanted = waiting.filter(({ progress, reject }) => {
      if (progress.signal.aborted) reject(nobodyWaits());
      return !progress.signal.aborted;
    });
    const same = wanted.filter(({ text }) => text.prompt === wanted[0]!.text.prompt).slice(0, ROWS_AT_ONCE);
    this.#questions.push(...wanted.filter((question) => !same.includes(question)));
    return same;
  }

  async #answer(batch: readonly Question[]): Promise<void> {
    const texts = batch.map(({ text }) => text);
    for (const { text, progress } of batch) progress.onPrompt(text.ids.length);
    const { prompt } = texts[0]!;
    const session = await this.#session(prompt?.shape[0] ?? 0);
    const feeds = textFeeds(makeBatch(texts, Int32Array.from(texts.keys())));
    const more = prompt && { prompt: { shape: [1, ...prompt.shape], data: prompt.data } };
    const { scores } = await session.run({ ...feeds, ...more });
    const width = scores!.shape[1]!;
    const all = scores!.data as Float32Array;
    for (const [i, { resolve }] of batch.entries()) resolve(all.subarray(i * width, (i + 1) * width));
  }

  async #session(virtualTokens: number): Promise<Session> {
    if (this.#loaded?.virtualTokens === virtualTokens) return this.#loaded.session;
    await this.#loaded?.session.release();
    this.#loaded = undefined;
    const session = await this.#engine.load(scoresGraph(this.#model, virtualTokens));
    this.#loaded = { virtualTokens, session };
    return session;
  }
}

/** `scores` `[B, V]` at the read position of texts, with an input `prompt` `[1, P, D]` before them if P isn't 0. */
function scoresGraph(model: Model, virtualTokens: number): Graph {
  const prompt = virtualTokens > 0 ? input("prompt", "float32", [1, virtualTokens, model.config.width]) : undefined;
  return { outputs: { scores: model.logits(readHidden(model, textInputs(), prompt)) } };
}

import { Engine } from "../../shared/graph/engine.ts";
import type { Device, Graph, Value } from "../../shared/graph/graph.ts";
import { endTokens } from "../../shared/operations/answers.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import { cryptoRandom, Draws, seededRandom } from "../../shared/protocol/random.ts";
import { Decoder, type Prefix } from "../../shared/training/decoder.ts";
import type { Watch } from "../../shared/training/events.ts";
import { prepare } from "../../shared/training/prepare.ts";
import type { Backend, Decoding, Progress, Prompted } from "../backend.ts";
import type { Kept } from "../prompts/prompt-cache.ts";
import { together } from "../together.ts";
import { Batcher, type BatcherEvents, READ_ALONE } from "./batcher.ts";
import { Choice, type Piece } from "./choice.ts";
import { continuation } from "./continuation.ts";

/** Choices of one text that share its reading. */
const TOGETHER = 8;

/** The engine of this process, for causal models. */
export class OwnBackend implements Backend<Prefix> {
  readonly #engine: Engine;
  readonly #decoder: Decoder;
  readonly #batcher: Batcher;
  readonly #target: OpenModel;
  readonly #together: number;

  private constructor(engine: Engine, decoder: Decoder, target: OpenModel, events: BatcherEvents) {
    this.#engine = engine;
    this.#decoder = decoder;
    this.#target = target;
    this.#batcher = new Batcher(decoder, events);
    this.#together = Math.min(TOGETHER, decoder.slots);
  }

  /**
   * @param slots rows of a batch
   * @param watch is told what is needed if every row is as long as the model can have it
   * @throws ProblemError for a masked model
   */
  static async open(
    target: OpenModel,
    { slots, threads, device }: { readonly slots: number; readonly threads: number; readonly device: Device },
    events: BatcherEvents,
    watch: Watch = {},
  ): Promise<OwnBackend> {
    const engine = new Engine({ threads, device });
    // One row is aside.
    const rows = slots + 1;
    const full = { R: rows, S: Math.ceil(READ_ALONE / rows), E: 0, M: target.model.config.positions };
    const load = (graph: Graph) => prepare(engine, graph, full, watch, "at most");
    const decoder = await Decoder.open(engine, target.model, slots, load);
    return new OwnBackend(engine, decoder, target, events);
  }

  get load() {
    return this.#batcher.load;
  }

  async prepare(value: Value): Promise<Kept<Prefix>> {
    return { value: await this.#batcher.prefix(value), bytes: this.#decoder.prefixBytes(value.shape[0]!) };
  }

  release(prefix: Prefix): Promise<void> {
    return this.#batcher.release(prefix);
  }

  async complete(
    { ids, prompt: prefix }: Prompted<Prefix>,
    decoding: Decoding,
    count: number,
    which: number,
    onPiece: (choice: number, piece: Piece) => void,
    { signal, onPrompt, onCompletion }: Progress,
  ): Promise<void> {
    const { maxNewTokens, stop, logprobs } = decoding;
    const options = {
      decode: await continuation(this.#target.tokenizer, ids),
      endIds: endTokens(this.#target),
      maxNewTokens,
      stop,
      logprobs,
    };
    const told = Array.from({ length: count }, () => ({ made: 0, isDone: false }));
    const choices = told.map((_, i) => new Choice({ ...options, sampling: samplingOf(decoding, which, i) }));
    const tell = () => {
      for (const [i, choice] of choices.entries()) {
        const before = told[i]!;
        if (before.isDone || choice.made === before.made) continue;
        onCompletion(choice.made - before.made);
        told[i] = { made: choice.made, isDone: choice.isDone };
        const piece = choice.piece();
        if (piece.text !== "" || piece.tokens.length > 0 || piece.finish) onPiece(i, piece);
      }
    };
    let begun = false;
    const onBegin = () => {
      if (!begun) onPrompt(ids.length);
      begun = true;
    };
    const groups = Array.from({ length: Math.ceil(count / this.#together) }, (_, i) =>
      choices.slice(i * this.#together, (i + 1) * this.#together),
    );
    await together(signal, groups, (group, signal) =>
      this.#batcher.continue({ ids, prefix, choices: group, signal, onBegin, onGrowth: tell }),
    );
  }

  readonly ask = ({ ids, prompt: prefix }: Prompted<Prefix>, { signal, onPrompt }: Progress): Promise<Float32Array> =>
    this.#batcher.ask({ ids, prefix, signal, onBegin: () => onPrompt(ids.length) });

  async close(): Promise<void> {
    await this.#engine.close();
  }
}

/** With a seed, the same text's same choice draws the same, in whatever batch. */
function samplingOf({ temperature, topP, seed }: Decoding, text: number, choice: number) {
  if (temperature === 0) return undefined;
  const key = seed === undefined ? undefined : [seed | 0, Math.floor(seed / 2 ** 32), text, choice];
  const draws = new Draws(key ? seededRandom(...key) : cryptoRandom);
  return { how: { temperature, ...(topP < 1 && { topP }) }, draws };
}

/** What a transfer of answers compares with: hidden states that never change, of which there may be more than memory. */
import { FloatStream, requireTemporary } from "../data/float-stream.ts";
import { BYTES_IN_MEMORY } from "../data/token-stream.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { variable } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";
import { sharedPrompt } from "./evaluate.ts";
import type { Watch } from "./events.ts";
import { InterruptedError } from "./loop.ts";
import { largestSizes, objectiveOf } from "./objective.ts";
import { prepare } from "./prepare.ts";
import { answerHidden, answerLength, type Sequence, sequenceFeeds } from "./sequences.ts";
import { ROWS_AT_ONCE } from "./texts.ts";

/**
 * Final hidden states at the compared positions of every public text, one text behind the other, `[sum of lengths, D]` each: of the prompted student, and of
 * student and target without a prompt if the movement term has a weight. Whoever makes it disposes of it.
 */
export class SequenceCache implements Disposable {
  readonly prompted = statesStream();
  readonly student: FloatStream | undefined;
  readonly target: FloatStream | undefined;

  /** @param alpha the movement term's weight */
  constructor(alpha: number) {
    if (alpha === 0) return;
    this.student = statesStream();
    this.target = statesStream();
  }

  [Symbol.dispose](): void {
    for (const stream of [this.prompted, this.student, this.target]) stream?.[Symbol.dispose]();
  }
}

const statesStream = () => new FloatStream("cache of hidden states");

/**
 * Refuses, before anything is answered, answers whose states there may be no room for.
 * @param of.positions that are compared of each text, at most
 * @param of.width D
 * @param space bytes that there are for files
 * @throws ProblemError
 */
export function requireCacheSpace(
  of: { readonly texts: number; readonly positions: number; readonly width: number; readonly alpha: number },
  space: number,
): void {
  const { texts, positions, width, alpha } = of;
  const stream = texts * positions * width * Float32Array.BYTES_PER_ELEMENT;
  const bytes = (alpha > 0 ? 3 : 1) * Math.max(0, stream - BYTES_IN_MEMORY);
  const held = `The states of ${texts} texts at up to ${positions} positions`;
  const less = `fewer public texts, shorter answers (maxNewTokens)${alpha > 0 ? " or α 0" : ""}`;
  requireTemporary(bytes, space, held, less);
}

/** Appends the compared positions' hidden states to a stream: of a model, with a prompt or without. */
export async function readSequences(
  engine: Engine,
  model: Model,
  sequences: readonly Sequence[],
  { name, into, prompt }: { readonly name: string; readonly into: FloatStream; readonly prompt?: Value },
  watch: Watch,
): Promise<void> {
  const { signal, onEvent } = watch;
  if (prompt) await engine.set({ "read.prompt": prompt });
  const hidden = answerHidden(model, prompt && sharedPrompt(variable("read.prompt", prompt.shape)));
  const session = await prepare(
    engine,
    { outputs: { hidden } },
    largestSizes(objectiveOf({ examples: sequences }), Math.min(ROWS_AT_ONCE, sequences.length)),
    watch,
  );
  onEvent?.({ kind: "phase", name, total: sequences.length, unit: "texts" });
  for (let from = 0; from < sequences.length; from += ROWS_AT_ONCE) {
    if (signal?.aborted) throw new InterruptedError(0);
    const { ids, read, answers } = sequenceFeeds(sequences.slice(from, from + ROWS_AT_ONCE));
    const result = await session.run({ ids: ids!, read: read!, answers: answers! });
    into.append(result.hidden!.data as Float32Array);
    onEvent?.({ kind: "progress", done: Math.min(sequences.length, from + ROWS_AT_ONCE) });
  }
  await session.release();
}

/** Where each sequence's positions begin, and at last how many there are. */
export function offsets(sequences: readonly Sequence[]): number[] {
  const starts = [0];
  for (const sequence of sequences) starts.push(starts.at(-1)! + answerLength(sequence));
  return starts;
}

/** The cached states of some texts' positions, as graph inputs `[N, D]`. */
export function cacheFeeds(
  cache: SequenceCache,
  starts: readonly number[],
  width: number,
  texts: Int32Array,
): Record<string, Value> {
  const parts = Array.from(texts, (text) => [starts[text]!, starts[text + 1]!] as const);
  const count = parts.reduce((sum, [from, to]) => sum + to - from, 0);
  const feeds: Record<string, Value> = {};
  for (const name of ["prompted", "student", "target"] as const) {
    const all = cache[name];
    if (!all) continue;
    const data = new Float32Array(count * width);
    let at = 0;
    for (const [from, to] of parts) {
      data.set(all.subarray(from * width, to * width), at);
      at += (to - from) * width;
    }
    feeds[`cached.${name}`] = { shape: [count, width], data };
  }
  return feeds;
}

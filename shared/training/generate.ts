import type { Engine, Value } from "../graph/engine.ts";
import type { Model } from "../models/model.ts";
import { Draws, seededRandom } from "../protocol/random.ts";
import { type Answer, type AnswerOptions, GrowingAnswer } from "./answer.ts";
import { Decoder, type Next, type Prefix } from "./decoder.ts";
import type { Watch } from "./events.ts";
import { InterruptedError } from "./loop.ts";
import { prepare } from "./prepare.ts";
import { type Sampling, sample } from "./sampling.ts";
import { notNumbers } from "./scores.ts";

/** Answers that are decoded at once. */
const SLOTS = 16;

/** Who answers, and how. */
export interface Generation {
  readonly engine: Engine;
  readonly model: Model;
  /** `[P, D]` */
  readonly prompt?: Value | undefined;
  readonly options: AnswerOptions;
  /** The likeliest token each time, unless there is one. The same seed gives the same answers, in whatever batches. */
  readonly sampling?: (Sampling & { readonly seed: number }) | undefined;
}

/** A text that is being answered. */
interface Row {
  readonly text: number;
  readonly answer: GrowingAnswer;
  readonly draws: Draws;
}

/**
 * Answers texts, in their order. Those that are done leave the batch, and others join it.
 * @param texts token ids, at least one each
 * @throws ProblemError if the model's scores aren't numbers; InterruptedError when stopped
 */
export async function generate(
  { engine, model, prompt, options, sampling }: Generation,
  texts: readonly Int32Array[],
  name: string,
  watch: Watch,
): Promise<Answer[]> {
  const { signal, onEvent } = watch;
  const slots = Math.min(SLOTS, texts.length);
  const longest = texts.reduce((most, { length }) => Math.max(most, length), 0);
  const positions = (prompt?.shape[0] ?? 0) + longest + options.maxNewTokens;
  // One row of what is kept is aside.
  const largest = { R: slots + 1, S: longest, E: 0, M: positions };
  const decoder = await Decoder.open(engine, model, slots, (graph) => prepare(engine, graph, largest, watch));
  const prefix = prompt && (await decoder.prefix(prompt));
  const answers: Answer[] = new Array(texts.length);
  // Texts of like lengths together: least padding.
  const waiting = texts.map((_, text) => text).sort((a, b) => texts[b]!.length - texts[a]!.length);
  const rows: Row[] = [];
  let done = 0;
  onEvent?.({ kind: "phase", name, total: texts.length, unit: "texts" });
  while (done < texts.length) {
    if (signal?.aborted) throw new InterruptedError(0);
    const joining = joins(waiting.length, rows.length, decoder.slots);
    if (joining > 0) {
      const joined = waiting.splice(-joining).map((text) => ({
        text,
        answer: new GrowingAnswer(options),
        draws: new Draws(seededRandom(sampling?.seed ?? 0, text)),
      }));
      const next = await decoder.join(
        joined.map(({ text }) => beginning(texts[text]!, prefix)),
        sampling !== undefined,
      );
      rows.push(...joined);
      await take(joined, next, sampling);
    } else {
      const last = Int32Array.from(rows, ({ answer }) => answer.ids.at(-1)!);
      await take(rows, await decoder.step(last, sampling !== undefined), sampling);
    }
    for (let index = rows.length - 1; index >= 0; index--) {
      const { answer, text } = rows[index]!;
      if (!answer.finish) continue;
      answers[text] = answer.answer;
      await decoder.leave(index);
      const moved = rows.pop()!;
      if (index < rows.length) rows[index] = moved;
      done += 1;
    }
    onEvent?.({ kind: "progress", done });
  }
  if (prefix) await decoder.release(prefix);
  await decoder.close();
  return answers;
}

/** How many of the waiting join now: when there is nobody, or when a quarter of the places is free, since they are read together. */
function joins(waiting: number, active: number, slots: number): number {
  const free = slots - active;
  return active === 0 || 4 * free >= slots ? Math.min(waiting, free) : 0;
}

function beginning(ids: Int32Array, prefix: Prefix | undefined) {
  return prefix ? { ids, prefix } : { ids };
}

/** Gives every row its next token. @throws ProblemError if scores aren't numbers */
async function take(
  rows: readonly Row[],
  { best, scores, areNumbers }: Next,
  sampling: Sampling | undefined,
): Promise<void> {
  if (areNumbers.includes(false)) throw notNumbers("If its weights are in 16 bits (--weights fp16), take fp32.");
  const width = (scores?.length ?? 0) / rows.length;
  for (const [i, { answer, draws }] of rows.entries()) {
    const own = sampling && scores?.subarray(i * width, (i + 1) * width);
    await answer.push(own ? sample(own, sampling, draws) : best[i]!);
  }
}

import { byLength } from "../data/batches.ts";
import { lengthsOf } from "../data/packed-texts.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { variable } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";
import type { Answer } from "./answer.ts";
import { isExact, wordF1 } from "./answer-figures.ts";
import { sharedPrompt } from "./evaluate.ts";
import type { Watch } from "./events.ts";
import { InterruptedError } from "./loop.ts";
import { largestSizes, objectiveOf } from "./objective.ts";
import { prepare } from "./prepare.ts";
import { type Sequence, sequenceFeeds, sequenceLosses } from "./sequences.ts";
import { ROWS_AT_ONCE } from "./texts.ts";

/** How well a model answers. */
export interface AnswerEvaluation {
  readonly examples: number;
  /** Part of the answers that are the target after SQuAD's normalisation. */
  readonly exactMatch: number;
  /** Standard error of the exact match, √(p(1 − p)/n). */
  readonly standardError: number;
  /** Mean F1 of the words, after the same normalisation. */
  readonly f1: number;
  /** Mean cross-entropy of the targets' tokens, in nats: the mean over a target's, then over targets. */
  readonly loss: number;
  /** Mean number of tokens of the answers. */
  readonly tokens: number;
}

/** The mean over examples of the mean cross-entropy of each one's answer tokens. */
export async function meanSequenceLoss(
  { engine, model, prompt }: { readonly engine: Engine; readonly model: Model; readonly prompt?: Value | undefined },
  sequences: readonly Sequence[],
  watch: Watch,
): Promise<number> {
  const { signal, onEvent } = watch;
  if (prompt) await engine.set({ "evaluated.prompt": prompt });
  const losses = sequenceLosses(model, prompt && sharedPrompt(variable("evaluated.prompt", prompt.shape)));
  const session = await prepare(
    engine,
    { outputs: { losses } },
    largestSizes(objectiveOf({ examples: sequences }), Math.min(ROWS_AT_ONCE, sequences.length)),
    watch,
  );
  onEvent?.({ kind: "phase", name: "evaluating", total: sequences.length, unit: "texts" });
  let [sum, done] = [0, 0];
  for (const batch of byLength(lengthsOf(sequences), ROWS_AT_ONCE)) {
    if (signal?.aborted) throw new InterruptedError(0);
    const result = await session.run(sequenceFeeds(Array.from(batch, (index) => sequences[index]!)));
    for (const loss of result.losses!.data) sum += loss;
    done += batch.length;
    onEvent?.({ kind: "progress", done });
  }
  await session.release();
  return sum / sequences.length;
}

/** Compares answers with targets. */
export function answerFigures(answers: readonly Answer[], targets: readonly string[], loss: number): AnswerEvaluation {
  const mean = (value: (answer: Answer, target: string) => number) =>
    answers.reduce((sum, answer, i) => sum + value(answer, targets[i]!), 0) / answers.length;
  const exactMatch = mean(({ text }, target) => (isExact(text, target) ? 1 : 0));
  return {
    examples: answers.length,
    exactMatch,
    standardError: Math.sqrt((exactMatch * (1 - exactMatch)) / answers.length),
    f1: mean(({ text }, target) => wordF1(text, target)),
    loss,
    tokens: mean(({ ids }) => ids.length),
  };
}

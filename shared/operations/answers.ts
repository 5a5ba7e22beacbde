import type { EncodedTarget } from "../data/encode-target.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { Engine, Value } from "../graph/engine.ts";
import type { GenerationTask } from "../protocol/task.ts";
import type { Answer, AnswerOptions } from "../training/answer.ts";
import { type AnswerEvaluation, answerFigures, meanSequenceLoss } from "../training/evaluate-sequences.ts";
import type { Watch } from "../training/events.ts";
import { generate } from "../training/generate.ts";
import type { Sampling } from "../training/sampling.ts";
import { requireFinite, requireRoom } from "./checks.ts";
import type { OpenModel } from "./open-model.ts";

/** A model, a task whose answer is text, and the soft prompt that it is done with, or none. */
export interface Answering {
  readonly model: OpenModel;
  readonly task: GenerationTask;
  /** `[P, D]` */
  readonly prompt: Value | undefined;
  /** The likeliest token each time, unless there is one. */
  readonly sampling?: (Sampling & { readonly seed: number }) | undefined;
}

/**
 * Answers texts.
 * @param questions texts in the task's template, as tokens
 * @throws ProblemError if prompt, texts and answers have no room, or scores aren't numbers; InterruptedError when stopped
 */
export async function answerTexts(
  { model, task, prompt, sampling }: Answering,
  questions: readonly Int32Array[],
  engine: Engine,
  watch: Watch,
): Promise<Answer[]> {
  requireRoom(task, prompt?.shape[0] ?? 0, model);
  const options = answerOptions(task, model);
  const generation = { engine, model: model.model, prompt, options, sampling };
  return generate(generation, questions, "answering", watch);
}

/** Measures how well a model answers. @throws ProblemError as `answerTexts`, or if the loss isn't finite */
export async function evaluateAnswers(
  answering: Answering,
  rows: readonly EncodedTarget[],
  engine: Engine,
  watch: Watch,
): Promise<AnswerEvaluation> {
  const { model, prompt } = answering;
  const questions = rows.map(({ question }) => question);
  const answers = await answerTexts(answering, questions, engine, watch);
  const loss = await meanSequenceLoss({ engine, model: model.model, prompt }, rows, watch);
  requireFinite(Float32Array.of(loss), `The losses of ${model.record.id}`);
  return answerFigures(
    answers,
    rows.map(({ target }) => target),
    loss,
  );
}

/** What ends an answer of a task, and how its tokens become text. */
function answerOptions({ stop, maxNewTokens }: GenerationTask, model: OpenModel): AnswerOptions {
  return { decode: (ids) => model.tokenizer.decode(ids), stop, endIds: endTokens(model), maxNewTokens };
}

/** The tokens that end a text: the tokenizer's, and those that config.json names. */
export function endTokens({ tokenizer, checkpoint }: { tokenizer: Tokenizer; checkpoint: OpenModel["checkpoint"] }) {
  const named = [checkpoint.json.eos_token_id].flat().filter((id): id is number => typeof id === "number");
  return new Set([...(tokenizer.endId === undefined ? [] : [tokenizer.endId]), ...named]);
}

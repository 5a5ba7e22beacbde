import type { Engine, Value } from "../graph/engine.ts";
import type { GenerationTask } from "../protocol/task.ts";
import type { AnswersName } from "../protocol/transfer.ts";
import { TEMPERATURE } from "../training/losses.ts";
import { ADAM } from "../training/optimizers.ts";
import {
  comparedSequence,
  readSequences,
  type SequenceCache,
  transferSequences,
} from "../training/sequence-transfer.ts";
import type { Sequence } from "../training/sequences.ts";
import { answerTexts } from "./answers.ts";
import { requireFinite, requireRoom } from "./checks.ts";
import type { OpenModel } from "./open-model.ts";
import {
  requireSharedTokenizer,
  sharedStart,
  type TransferRequest,
  type Transferred,
  type TransferTools,
} from "./transfer.ts";

/** The prompt is the mean over so many last steps: a hundred, or a fifth of fewer than 500. */
const AVERAGED = 100;
const AVERAGED_PART = 1 / 5;

/** A transfer of a prompt for a task whose answer is text. */
export interface AnswersTransferRequest extends TransferRequest {
  readonly alpha: number;
  /** What student and target are compared at: the student's answers, the likeliest or drawn ones, or the first position only. */
  readonly answers: AnswersName;
}

/**
 * Turns a prompt that was tuned on a student into one for its target: the student answers every public text once, and the target is
 * brought to give what the student gives at each position of its answers.
 * @throws ProblemError as `transferPrompt`; InterruptedError when stopped, after the state was saved
 */
export async function transferAnswers(
  request: AnswersTransferRequest,
  task: GenerationTask,
  tools: TransferTools,
): Promise<Transferred> {
  const { target, student, prompt, publicSet, answers, alpha, steps, batchSize, learningRate, seed } = request;
  const virtualTokens = prompt.value.shape[0]!;
  requireRoom(task, virtualTokens, target);
  requireRoom(task, virtualTokens, student);
  await requireSharedTokenizer(request);
  const averagedSteps = Math.min(AVERAGED, Math.ceil(steps * AVERAGED_PART));
  const graphs = [target.record.digest, student.record.digest, virtualTokens, "answers"].join(" ");
  const moved = await tools.use(graphs, async (engine) => {
    const start = await sharedStart(engine, request);
    const sequences = await comparedTexts(request, task, engine, tools);
    const cache = await cacheOf(request, sequences, engine, tools);
    const numbers = { alpha, steps, averagedSteps, batchSize, learningRate, seed };
    const settings = {
      command: "transfer",
      target: target.record.digest,
      student: student.record.digest,
      prompt: prompt.digest,
      public: publicSet.digest,
      answers,
      ...numbers,
    };
    const run = {
      engine,
      target: target.model,
      sequences,
      cache,
      start,
      optimizer: ADAM,
      ...numbers,
      state: { ...request.state, settings },
    };
    return transferSequences(run, tools.watch);
  });
  requireFinite(moved.prompt.data, "The prompt's values");
  const facts = {
    ...prompt.manifest,
    model: target.record,
    transfer: {
      student: student.record,
      promptDigest: prompt.digest,
      publicSet: { id: publicSet.id, digest: publicSet.digest, examples: publicSet.texts.length },
      answers,
      alpha,
      temperature: TEMPERATURE,
      training: { optimizer: "adam" as const, learningRate, steps, batchSize, averagedSteps },
    },
  };
  return { prompt: moved.prompt, facts, loss: moved.loss, alpha };
}

/** The public texts with the positions that are compared. */
async function comparedTexts(
  { student, prompt, publicSet, answers, seed }: AnswersTransferRequest,
  task: GenerationTask,
  engine: Engine,
  { watch }: TransferTools,
): Promise<Sequence[]> {
  const questions = publicSet.texts.map(({ ids }) => ids);
  if (answers === "first") return questions.map((question) => comparedSequence(question, undefined));
  const sampling = answers === "sampled" ? { seed } : undefined;
  const given = await answerTexts({ model: student, task, prompt: prompt.value, sampling }, questions, engine, watch);
  return questions.map((question, i) => comparedSequence(question, given[i]));
}

async function cacheOf(
  { target, student, prompt, alpha }: AnswersTransferRequest,
  sequences: readonly Sequence[],
  engine: Engine,
  { watch }: TransferTools,
): Promise<SequenceCache> {
  const read = ({ model }: OpenModel, name: string, value?: Value) =>
    readSequences(engine, model, sequences, name, watch, value);
  const prompted = await read(student, "reading the prompted student", prompt.value);
  if (alpha === 0) return { prompted };
  return {
    prompted,
    student: await read(student, "reading the student"),
    target: await read(target, "reading the target"),
  };
}

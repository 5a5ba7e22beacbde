import { temporarySpace } from "../data/float-stream.ts";
import type { Rows } from "../data/packed-texts.ts";
import type { Engine } from "../graph/engine.ts";
import { ProblemError } from "../protocol/errors.ts";
import type { AnswersName } from "../protocol/manifest.ts";
import { type GenerationTask, isGeneration, type Task } from "../protocol/task.ts";
import { type FittedOptions, lossFor, misfits } from "../protocol/transfer-fit.ts";
import { transferAverage } from "../protocol/transfer-options.ts";
import { computedModel } from "../protocol/weights.ts";
import { TEMPERATURE } from "../training/losses.ts";
import { ADAM } from "../training/optimizers.ts";
import { readSequences, requireCacheSpace, SequenceCache } from "../training/sequence-cache.ts";
import { comparedSequence, transferSequences } from "../training/sequence-transfer.ts";
import type { Sequence } from "../training/sequences.ts";
import type { EncodedText } from "../training/texts.ts";
import { answerTexts } from "./answers.ts";
import { requireFinite, requireRoom } from "./checks.ts";
import { takeTexts } from "./public-set.ts";
import { requireSharedTokenizer } from "./shared-tokenizer.ts";
import { type Transferred, transferPrompt } from "./transfer.ts";
import type { TransferRequest, TransferTools } from "./transfer-request.ts";
import { startsOf } from "./transfer-student.ts";

/** A transfer of a prompt for a task of either kind: what isn't chosen is as suits the task. */
export type AnyTransferRequest = Omit<TransferRequest, "loss"> & FittedOptions;

/** A transfer of a prompt for a task whose answer is text. */
interface AnswersTransferRequest extends Omit<TransferRequest, "loss"> {
  /** What student and target are compared at: the student's answers, the likeliest or drawn ones, or the first position only. */
  readonly answers: AnswersName;
}

/** @throws ProblemError for options that the task doesn't have, and as `transferPrompt` or `transferAnswers` */
export function transferAs(task: Task, request: AnyTransferRequest, tools: TransferTools): Promise<Transferred> {
  const faults = misfits(task, request);
  if (faults.length > 0)
    throw new ProblemError(MISFIT, "They belong to tasks of the other kind.", { status: 422, faults });
  if (!isGeneration(task)) return transferPrompt({ ...request, loss: lossFor(task, request.loss) }, tools);
  return transferAnswers({ ...request, answers: request.answers ?? "greedy" }, task, tools);
}

const MISFIT = "The options do not fit the task";

/**
 * Turns a prompt that was tuned on a student into one for its target: the student answers every public text once, and the target is
 * brought to give what the student gives at each position of its answers.
 * @throws ProblemError as `transferPrompt`; InterruptedError when stopped, after the state was saved
 */
async function transferAnswers(
  request: AnswersTransferRequest,
  task: GenerationTask,
  tools: TransferTools,
): Promise<Transferred> {
  const { target, student, prompt, publicSet, answers, steps, batchSize, learningRate, seed } = request;
  const virtualTokens = prompt.value.shape[0]!;
  requireRoom(task, virtualTokens, target);
  requireRoom(task, virtualTokens, student);
  const alpha = requireFits(request);
  await requireSharedTokenizer(request);
  const averagedSteps = transferAverage(steps);
  const graphs = [computedModel(target.record), computedModel(student.record), virtualTokens, "answers"].join(" ");
  const moved = await tools.use(graphs, async (engine) => {
    const [start] = await startsOf(engine, request);
    const { texts } = await takeTexts(request, (run) => run(engine), tools.watch);
    // Beside its tokens, an answer has where it ended.
    const positions = answers === "first" ? 1 : task.maxNewTokens + 1;
    const { width } = target.checkpoint.config;
    requireCacheSpace({ texts: texts.length, positions, width, alpha }, await temporarySpace());
    const sequences = await comparedTexts(request, texts, task, engine, tools);
    using cache = new SequenceCache(alpha);
    await fill(cache, request, sequences, engine, tools);
    const numbers = { alpha, steps, averagedSteps, batchSize, learningRate, seed };
    const settings = {
      command: "transfer",
      target: computedModel(target.record),
      student: computedModel(student.record),
      prompt: prompt.digest,
      public: publicSet.digest,
      task: JSON.stringify(task),
      starts: request.starts.join(),
      answers,
      ...numbers,
    };
    const run = {
      engine,
      target: target.model,
      sequences,
      cache,
      start: start!,
      optimizer: ADAM,
      ...numbers,
      state: { ...request.state, settings },
    };
    return await transferSequences(run, tools.watch);
  });
  requireFinite(moved.prompt.data, "The prompt's values");
  const facts = {
    ...prompt.manifest,
    model: target.record,
    transfer: {
      student: student.record,
      promptDigest: prompt.digest,
      publicSet: { id: publicSet.id, digest: publicSet.digest, examples: publicSet.examples },
      loss: "vocabulary" as const,
      answers,
      alpha,
      temperature: TEMPERATURE,
      start: request.starts[0]!,
      training: { optimizer: "adam" as const, learningRate, steps, batchSize, averagedSteps },
    },
  };
  return { prompt: moved.prompt, facts, loss: moved.loss, alpha, travel: null, advice: [] };
}

/** The α that was asked for. @throws ProblemError for what is only there where answers are labels */
function requireFits({ open, alpha }: AnswersTransferRequest): number {
  if (!open && typeof alpha === "number") return alpha;
  const unfit = [...(open ? ["an open student"] : []), ...(typeof alpha === "number" ? [] : ["α from labelled texts"])];
  const detail = `The task's answer is text, for which there is no ${unfit.join(" and no ")} yet.`;
  throw new ProblemError(MISFIT, detail, { status: 422 });
}

/** The public texts with the positions that are compared. */
async function comparedTexts(
  { student, prompt, answers, seed }: AnswersTransferRequest,
  texts: Rows<EncodedText>,
  task: GenerationTask,
  engine: Engine,
  { watch }: TransferTools,
): Promise<Sequence[]> {
  const questions = Array.from(texts, ({ ids }) => ids);
  if (answers === "first") return questions.map((question) => comparedSequence(question, undefined));
  const sampling = answers === "sampled" ? { seed } : undefined;
  const given = await answerTexts({ model: student, task, prompt: prompt.value, sampling }, questions, engine, watch);
  return questions.map((question, i) => comparedSequence(question, given[i]));
}

/** Reads the states that the cache is of. */
async function fill(
  cache: SequenceCache,
  { target, student, prompt }: AnswersTransferRequest,
  sequences: readonly Sequence[],
  engine: Engine,
  { watch }: TransferTools,
): Promise<void> {
  const of = { name: "reading the prompted student", into: cache.prompted, prompt: prompt.value };
  await readSequences(engine, student.model, sequences, of, watch);
  for (const [name, { model }] of [
    ["student", student],
    ["target", target],
  ] as const) {
    const into = cache[name];
    if (into) await readSequences(engine, model, sequences, { name: `reading the ${name}`, into }, watch);
  }
}

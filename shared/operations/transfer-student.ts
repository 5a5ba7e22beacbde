/** What a transfer takes from the student, and from the target before it has a prompt. */
import { initialisationIds } from "../data/encode.ts";
import type { Rows } from "../data/packed-texts.ts";
import { verbalizer } from "../data/verbalizer.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { sha256 } from "../protocol/manifest.ts";
import { computedModel } from "../protocol/weights.ts";
import { figures, predict } from "../training/evaluate.ts";
import type { Watch } from "../training/events.ts";
import { initialPrompt } from "../training/initial-prompt.ts";
import type { LabelledText } from "../training/objective.ts";
import { chooseAlpha, readStates, scoresOfStates } from "../training/transfer.ts";
import type { TransferCache } from "../training/transfer-loss.ts";
import { requireClasses } from "./checks.ts";
import { classWords } from "./class-words.ts";
import { requireCutFromTarget } from "./cut-from-target.ts";
import type { OpenModel } from "./open-model.ts";
import type { TakenTexts } from "./public-set.ts";
import type { TransferRequest, TransferTools } from "./transfer-request.ts";

/** Final hidden states `[N, D]` of both models without a prompt. */
export type BareStates = Readonly<Record<"student" | "target", Float32Array>>;

/** What α's term needs of the models without a prompt; undefined where α is 0. */
export async function bareStatesOf(
  { target, student, prompt, alpha }: TransferRequest,
  { texts, studentTexts, part }: TakenTexts,
  { use, bareStates, watch }: TransferTools,
): Promise<BareStates | undefined> {
  if (alpha === 0) return undefined;
  const { template, maxLength } = prompt.manifest.task;
  const encoding = await sha256(new TextEncoder().encode(JSON.stringify([template, maxLength])));
  // The names of states that are kept: those of all texts, of the published model in float32, have no more than the encoding.
  const encodingIn = ({ precision }: OpenModel["model"], { quantisation }: OpenModel["record"]) =>
    [
      ...(part ? [part] : []),
      ...(precision === "float32" ? [] : [precision]),
      ...Object.values(quantisation ?? {}),
      encoding,
    ].join("-");
  const read = ({ model, checkpoint, record }: OpenModel, encoded: typeof texts, name: string) => {
    // An engine of its own, so that a target's weights are never there twice.
    const compute = () =>
      use(`read ${computedModel(record)}`, (engine) => readStates(engine, model, encoded, name, watch));
    // What one prompt chose, no other transfer asks for.
    if (part === undefined) return compute();
    const shape = [encoded.length, checkpoint.config.width] as const;
    return bareStates({ model: record.digest, encoding: encodingIn(model, record), shape }, compute);
  };
  return {
    target: await read(target, texts, "reading the target"),
    student: await read(student, studentTexts, "reading the student"),
  };
}

/** What the loss compares the target with, on every public text. */
export async function cacheOf(
  engine: Engine,
  { target, student, prompt, loss }: TransferRequest,
  {
    taken,
    scores,
    bare,
    alpha,
  }: { taken: TakenTexts; scores: Float32Array; bare: BareStates | undefined; alpha: number },
  watch: Watch,
): Promise<TransferCache> {
  const moving = alpha > 0 ? bare : undefined;
  if (loss === "vocabulary") {
    const name = "reading the prompted student";
    const prompted = await readStates(engine, student.model, taken.studentTexts, name, watch, prompt.value);
    return moving ? { prompted, bare: moving } : { prompted };
  }
  if (!moving) return { prompted: scores };
  const scoresOf = async ({ model, tokenizer }: OpenModel, states: Float32Array) =>
    scoresOfStates(engine, model, (await verbalizer(requireClasses(prompt.manifest.task), tokenizer)).classes, states);
  return {
    prompted: scores,
    bare: { student: await scoresOf(student, moving.student), target: await scoresOf(target, moving.target) },
  };
}

/**
 * Where the target's prompt starts: the embeddings of the text that the student's prompt started from, or the student's prompt.
 * @throws ProblemError as `requireCutFromTarget`, for a student that is to be cut from the target
 */
export async function startsOf(
  engine: Engine,
  { target, student, prompt, open, starts }: Omit<TransferRequest, "loss">,
): Promise<Value[]> {
  const ids = await initialisationIds(target.tokenizer, prompt.manifest.initialisation.text, prompt.value.shape[0]!);
  const words = await initialPrompt(engine, target.model, ids);
  if (!open) await requireCutFromTarget(target, student, ids);
  return starts.map((start) => (start === "words" ? words : prompt.value));
}

/** The α that the heuristic chooses from accuracies on labelled public texts. */
export async function bestAlpha(
  engine: Engine,
  { target, student, prompt, alpha }: TransferRequest,
  watch: Watch,
): Promise<number> {
  const { labelled } = alpha as { labelled: Rows<LabelledText> };
  const classes = await classWords(prompt.manifest.task, target, watch);
  const labels = Array.from(labelled, ({ label }) => label);
  const accuracy = async (classifier: { model: OpenModel["model"]; prompt?: Value }) =>
    figures(await predict({ engine, classes, ...classifier }, labelled, watch), labels, classes.length).accuracy;
  const zeroShot = await accuracy({ model: target.model });
  const prompted = await accuracy({ model: student.model, prompt: prompt.value });
  return chooseAlpha(zeroShot, prompted, classes.length);
}

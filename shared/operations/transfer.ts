import type { Encoded } from "../data/encode.ts";
import { initialisationIds } from "../data/encode.ts";
import { readTexts } from "../data/jsonl.ts";
import type { ManifestFacts } from "../data/prompt-folder.ts";
import { requireSameTokenizer, transferTexts } from "../data/same-tokenizer.ts";
import { verbalizer } from "../data/verbalizer.ts";
import type { Engine, Value } from "../graph/engine.ts";
import { ProblemError } from "../protocol/errors.ts";
import { type Manifest, type ModelRecord, sha256 } from "../protocol/manifest.ts";
import { figures, predict } from "../training/evaluate.ts";
import type { Watch } from "../training/events.ts";
import { initialPrompt } from "../training/initial-prompt.ts";
import { TEMPERATURE } from "../training/losses.ts";
import { ADAM } from "../training/optimizers.ts";
import { chooseAlpha, readStates, transfer } from "../training/transfer.ts";
import type { LabelledText } from "../training/tune.ts";
import { requireFinite, requireRoom } from "./checks.ts";
import type { OpenModel } from "./open-model.ts";

/** A prompt that was tuned on a student, with what its manifest says. */
export interface StudentPrompt {
  /** `[P, D]` */
  readonly value: Value;
  /** SHA-256 of its file. */
  readonly digest: string;
  readonly manifest: Manifest;
}

export interface TransferRequest {
  readonly target: OpenModel;
  readonly student: OpenModel;
  readonly prompt: StudentPrompt;
  readonly publicSet: {
    readonly id: string;
    readonly digest: string;
    /** Its rows, and the same in the task's template as the target's tokens. */
    readonly file: string;
    readonly texts: readonly Encoded[];
  };
  /** The weight of the movement term, or labelled public texts of a like task by which it is chosen. */
  readonly alpha: number | { readonly labelled: readonly LabelledText[] };
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Where the run's state is kept, and whether it goes on from there. */
  readonly state: { readonly path: string; readonly resume: boolean };
}

/** What a transfer is carried out with. */
export interface TransferTools {
  /**
   * Runs something with an engine.
   * @param graphs what its graphs depend on: who keeps engines for later transfers keeps them under it
   */
  use<T>(graphs: string, run: (engine: Engine) => Promise<T>): Promise<T>;
  /**
   * Hidden states `[rows, width]` of a model without a prompt, which every transfer through these texts needs: from where they were kept,
   * or computed.
   * @param encoding what the texts' tokens depend on beside text and model
   */
  bareStates(
    of: { readonly model: string; readonly encoding: string; readonly shape: readonly [number, number] },
    compute: () => Promise<Float32Array>,
  ): Promise<Float32Array>;
  readonly watch: Watch;
}

/** A prompt for the target, and what is to be written beside it. */
export interface Transferred {
  readonly prompt: Value;
  readonly facts: ManifestFacts;
  /** Mean public loss of the last steps. */
  readonly loss: number;
  readonly alpha: number;
}

/**
 * Turns a prompt that was tuned on a student into one for its target, with public texts.
 * @throws ProblemError if the student isn't of this target, prompt and texts have no room in it, or the result isn't finite;
 *   InterruptedError when stopped, after the state was saved
 */
export async function transferPrompt(request: TransferRequest, tools: TransferTools): Promise<Transferred> {
  const { target, student, prompt, publicSet, steps, batchSize, learningRate, seed } = request;
  const { texts } = publicSet;
  const { manifest, value } = prompt;
  requireRoom(manifest.task, value.shape[0]!, target);
  await requireSameTokenizer(student.folder, target.folder, async (maskToken) =>
    transferTexts(manifest.task, manifest.initialisation.text, await readTexts(publicSet.file), maskToken),
  );
  const bare = await bareStatesOf(request, tools);
  const graphs = [target.record.digest, student.record.digest, value.shape[0]].join(" ");
  const { moved, alpha } = await tools.use(graphs, async (engine) => {
    const start = await sharedStart(engine, request);
    const alpha = typeof request.alpha === "number" ? request.alpha : await bestAlpha(engine, request, tools.watch);
    const name = "reading the prompted student";
    const studentPrompted = await readStates(engine, student.model, texts, name, tools.watch, value);
    const settings = { steps, batchSize, learningRate, seed, alpha };
    const run = {
      engine,
      target: target.model,
      publicTexts: texts,
      cache: { ...bare, studentPrompted },
      start,
      optimizer: ADAM,
      ...settings,
      state: { ...request.state, settings: { ...settings, ...identities(request) } },
    };
    return { moved: await transfer(run, tools.watch), alpha };
  });
  requireFinite(moved.prompt.data, "The prompt's values");
  const training = { optimizer: "adam" as const, learningRate, steps, batchSize };
  const origin = {
    student: student.record,
    promptDigest: prompt.digest,
    publicSet: { id: publicSet.id, digest: publicSet.digest, examples: texts.length },
    alpha,
    temperature: TEMPERATURE,
    training,
  };
  const facts = { ...manifest, model: target.record as ModelRecord, transfer: origin };
  return { prompt: moved.prompt, facts, loss: moved.loss, alpha };
}

/** What makes a run this run, beside its numbers. */
function identities({ target, student, prompt, publicSet }: TransferRequest) {
  return {
    command: "transfer",
    target: target.record.digest,
    student: student.record.digest,
    prompt: prompt.digest,
    public: publicSet.digest,
  };
}

async function bareStatesOf(
  { target, student, prompt, publicSet: { texts } }: TransferRequest,
  { use, bareStates, watch }: TransferTools,
): Promise<{ target: Float32Array; student: Float32Array }> {
  const { template, maxLength } = prompt.manifest.task;
  const encoding = await sha256(new TextEncoder().encode(JSON.stringify([template, maxLength])));
  const read = ({ model, checkpoint, record }: OpenModel, name: string) =>
    bareStates({ model: record.digest, encoding, shape: [texts.length, checkpoint.config.width] }, () =>
      // An engine of its own, so that a target's weights are never there twice.
      use(`read ${record.digest}`, (engine) => readStates(engine, model, texts, name, watch)),
    );
  return { target: await read(target, "reading the target"), student: await read(student, "reading the student") };
}

/**
 * Where the target's prompt starts: the embeddings of the text that the student's prompt started from.
 *
 * @throws ProblemError if those aren't the student's embeddings too: then it isn't a student of this target
 */
async function sharedStart(engine: Engine, { target, student, prompt }: TransferRequest): Promise<Value> {
  const ids = await initialisationIds(target.tokenizer, prompt.manifest.initialisation.text, prompt.value.shape[0]!);
  const start = await initialPrompt(engine, target.model, ids);
  const same = await initialPrompt(engine, student.model, ids);
  if (start.data.length !== same.data.length || !start.data.every((value, i) => value === same.data[i])) {
    const detail = `${student.record.id} does not have the token embeddings of ${target.record.id}.`;
    throw new ProblemError("The student is not of this target", detail, { status: 422 });
  }
  return start;
}

async function bestAlpha(
  engine: Engine,
  { target, student, prompt, alpha }: TransferRequest,
  watch: Watch,
): Promise<number> {
  const { labelled } = alpha as { labelled: readonly LabelledText[] };
  const { classes, notes } = await verbalizer(prompt.manifest.task, target.tokenizer);
  for (const text of notes) watch.onEvent?.({ kind: "note", text });
  const labels = labelled.map(({ label }) => label);
  const accuracy = async (classifier: { model: OpenModel["model"]; prompt?: Value }) =>
    figures(await predict({ engine, classes, ...classifier }, labelled, watch), labels, classes.length).accuracy;
  const zeroShot = await accuracy({ model: target.model });
  const prompted = await accuracy({ model: student.model, prompt: prompt.value });
  return chooseAlpha(zeroShot, prompted, classes.length);
}

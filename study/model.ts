import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encoder, initialisationIds } from "../shared/data/encode.ts";
import type { Example } from "../shared/data/jsonl.ts";
import type { Tokenizer } from "../shared/data/tokenizer.ts";
import { verbalizer } from "../shared/data/verbalizer.ts";
import type { Engine, Value } from "../shared/graph/engine.ts";
import type { Model } from "../shared/models/model.ts";
import type { OpenModel } from "../shared/operations/open-model.ts";
import { createPlan } from "../shared/privacy/plan.ts";
import { cryptoRandom } from "../shared/protocol/random.ts";
import type { ClassificationTask } from "../shared/protocol/task.ts";
import { dpTune } from "../shared/training/dp-tune.ts";
import { figures, predict } from "../shared/training/evaluate.ts";
import { initialPrompt } from "../shared/training/initial-prompt.ts";
import type { LabelledText } from "../shared/training/objective.ts";
import { ADAM } from "../shared/training/optimizers.ts";
import type { EncodedText } from "../shared/training/texts.ts";
import { readScores, readStates } from "../shared/training/transfer.ts";
import { tune } from "../shared/training/tune.ts";
import type { ResumableRun } from "../shared/training/variable-run.ts";
import type { TuneSettings } from "./settings.ts";

/** A model with a task: what it makes of texts, and prompts for it. */
export class TaskModel {
  readonly engine: Engine;
  readonly model: Model;
  /** Of the model's files. */
  readonly digest: string;
  readonly tokenizer: Tokenizer;
  readonly task: ClassificationTask;
  readonly classes: readonly Int32Array[];
  readonly #encode: (texts: readonly string[]) => Promise<EncodedText[]>;

  private constructor(
    engine: Engine,
    { model, tokenizer, record }: OpenModel,
    task: ClassificationTask,
    parts: { classes: readonly Int32Array[]; encode: (texts: readonly string[]) => Promise<EncodedText[]> },
  ) {
    this.engine = engine;
    this.model = model;
    this.digest = record.digest;
    this.tokenizer = tokenizer;
    this.task = task;
    this.classes = parts.classes;
    this.#encode = parts.encode;
  }

  /** @throws ProblemError if the task doesn't fit the model */
  static async open(engine: Engine, model: OpenModel, task: ClassificationTask): Promise<TaskModel> {
    const { classes } = await verbalizer(task, model.tokenizer);
    return new TaskModel(engine, model, task, {
      classes,
      encode: await encoder(task, model.tokenizer, model.model.kind),
    });
  }

  encode(texts: readonly string[]): Promise<EncodedText[]> {
    return this.#encode(texts);
  }

  async #labelled(rows: readonly Example[]): Promise<LabelledText[]> {
    const encoded = await this.#encode(rows.map(({ text }) => text));
    return encoded.map((text, i) => ({ ...text, label: rows[i]!.label }));
  }

  async start(rows: number): Promise<Value> {
    return initialPrompt(this.engine, this.model, await initialisationIds(this.tokenizer, this.task.init, rows));
  }

  /** What a tuning works on, private or not. */
  async #tuned(rows: readonly Example[], promptTokens: number) {
    const { engine, model, classes } = this;
    return { engine, model, classes, examples: await this.#labelled(rows), start: await this.start(promptTokens) };
  }

  async tune(rows: readonly Example[], promptTokens: number, settings: TuneSettings, seed: number): Promise<Value> {
    const { steps, batchSize, learningRate, averagedSteps } = settings;
    const shared = await this.#tuned(rows, promptTokens);
    const order = { kind: "shuffled", seed } as const;
    const schedule = { steps, batchSize, learningRate, averagedSteps, optimizer: ADAM, order };
    return inScratch(async (state) => (await tune({ ...shared, ...schedule, state }, {})).prompt);
  }

  /** @param rowsOfPerson rows of each person, if the unit of privacy is the person; 0: it is the row */
  async tunePrivately(
    rows: readonly Example[],
    promptTokens: number,
    settings: TuneSettings & { clip: number },
    epsilon: number,
    rowsOfPerson = 0,
  ): Promise<Value> {
    const { steps, batchSize, learningRate, averagedSteps, clip } = settings;
    const units = rowsOfPerson > 0 ? peopleOf(rows.length, rowsOfPerson) : undefined;
    const records = units?.length ?? rows.length;
    const unit = units && { field: "person", rowsPerUnit: 1 };
    // The same for both units, so that only ε and the unit differ.
    const delta = 1 / (2 * rows.length);
    const plan = createPlan({ records, batchSize, steps, clip, delta, epsilon, ...(unit && { unit }) });
    const shared = await this.#tuned(rows, promptTokens);
    const schedule = { learningRate, averagedSteps, optimizer: ADAM, plan, random: cryptoRandom, units };
    return inScratch(async (state) => (await dpTune({ ...shared, ...schedule, state }, {})).prompt);
  }

  /** Accuracy on labelled rows. */
  async accuracy(rows: readonly Example[], prompt?: Value): Promise<number> {
    const examples = await this.#labelled(rows);
    const { engine, model, classes } = this;
    const labels = examples.map(({ label }) => label);
    return figures(await predict({ engine, model, classes, prompt }, examples, {}), labels, classes.length).accuracy;
  }

  scores(texts: readonly EncodedText[], prompt?: Value): Promise<Float32Array> {
    return readScores(this.engine, this.model, this.classes, texts, "reading", {}, prompt);
  }

  states(texts: readonly EncodedText[], prompt?: Value): Promise<Float32Array> {
    return readStates(this.engine, this.model, texts, "reading", {}, prompt);
  }
}

/** The rows of each person, where every one has so many of the rows (which are in no order), and the last what is left. */
function peopleOf(rows: number, each: number): number[][] {
  return Array.from({ length: Math.ceil(rows / each) }, (_, person) =>
    Array.from({ length: Math.min(each, rows - person * each) }, (_, i) => person * each + i),
  );
}

/** Runs something that keeps its state in a file, which nobody needs afterwards. */
export async function inScratch<T>(run: (state: ResumableRun) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "softpost-study-"));
  try {
    return await run({ path: join(folder, "state"), settings: {}, resume: false });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

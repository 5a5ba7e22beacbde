import { readTask } from "../shared/data/files.ts";
import { type Data, readUnits } from "../shared/data/jsonl.ts";
import { hashFile } from "../shared/data/model-files.ts";
import { verbalizer } from "../shared/data/verbalizer.ts";
import type { OpenModel } from "../shared/operations/open-model.ts";
import { encodedRows, type TaskRows } from "../shared/operations/texts.ts";
import type { TuneRequest } from "../shared/operations/tune.ts";
import { PROMPT_TOKENS, type Schedule, scheduleFor } from "../shared/operations/tune-defaults.ts";
import { planFor } from "../shared/operations/tune-plan.ts";
import type { Accountant } from "../shared/privacy/accountant.ts";
import type { PrivacyPlan } from "../shared/privacy/plan.ts";
import { cryptoRandom, type RandomSource } from "../shared/protocol/random.ts";
import { isGeneration, type Task } from "../shared/protocol/task.ts";
import { type ColumnOptions, dataFile } from "./data-file.ts";
import { loadModel, loadPrompt } from "./inputs.ts";
import type { Io } from "./output.ts";

export interface TuneOptions extends ColumnOptions {
  readonly model: string;
  readonly task: string;
  readonly train: string;
  readonly eval?: string;
  readonly prompt?: string;
  readonly out: string;
  readonly promptTokens?: number;
  readonly epochs?: number;
  readonly steps?: number;
  readonly batchSize?: number;
  readonly optimizer: "adam" | "sgd";
  readonly lr?: number;
  readonly average?: number;
  readonly seed: number;
  readonly shuffle: boolean;
  readonly epsilon?: number;
  readonly noiseMultiplier?: number;
  readonly delta?: number;
  readonly clip?: number;
  readonly privacyUnit?: string;
  readonly rowsPerUnit?: number;
  readonly accountant?: Accountant;
  readonly budgetEpsilon?: number;
  readonly dataset?: string;
  readonly resume?: boolean;
}

/** What a tuning is made of, all of it read and checked. */
export interface Tuning {
  /** The private rows, in a file. */
  readonly train: { readonly path: string; readonly data: Data };
  readonly model: OpenModel;
  readonly task: Task;
  readonly rows: TaskRows;
  /** Rows, or units of privacy: what the schedule and the guarantee count. */
  readonly records: number;
  readonly schedule: Schedule;
  readonly plan: PrivacyPlan | null;
  readonly privacy: { readonly plan: PrivacyPlan; readonly random: RandomSource; readonly units?: Units } | null;
  /** All but what is known only when the run begins. */
  readonly request: Omit<TuneRequest, "privacy" | "state">;
}

type Units = readonly (readonly number[])[] | undefined;

/** Reads what a run is made of. @throws ProblemError with what is wrong with task, model, prompt or rows */
export async function readTuning(options: TuneOptions, io: Io): Promise<Tuning> {
  const task = await readTask(options.task);
  const model = await loadModel(options.model, io);
  // Before the rows are read: what costs most to mend is said first.
  if (!isGeneration(task)) await verbalizer(task, model.tokenizer);
  const given = options.prompt === undefined ? undefined : await loadPrompt(options.prompt, model, io, task);
  const train = await dataFile(options.train, options);
  const rows = await encodedRows(train.data, task, model, io.message);
  const units = options.privacyUnit === undefined ? undefined : await readUnits(train.data, options.privacyUnit);
  const records = units?.length ?? rows.rows.length;
  const isPrivate = options.epsilon !== undefined || options.noiseMultiplier !== undefined;
  const { epochs, steps, batchSize, lr: learningRate, average: averagedSteps } = options;
  const schedule = scheduleFor(records, isPrivate, { epochs, steps, batchSize, learningRate, averagedSteps });
  const plan = isPrivate ? planFor(options, records, schedule) : null;
  return {
    train,
    model,
    task,
    rows,
    records,
    schedule,
    plan,
    privacy: plan && { plan, random: cryptoRandom, units },
    request: {
      model,
      task,
      examples: rows.rows,
      dataDigest: (await hashFile(train.path)).sha256,
      start: given ?? options.promptTokens ?? PROMPT_TOKENS,
      ...schedule,
      optimizer: options.optimizer,
      order: options.shuffle ? { kind: "shuffled", seed: options.seed } : { kind: "file" },
    },
  };
}

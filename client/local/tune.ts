import { type Data, readUnits, rowsDigest } from "../../shared/data/jsonl.ts";
import { verbalizer } from "../../shared/data/verbalizer.ts";
import type { OpenModel } from "../../shared/operations/open-model.ts";
import { type SoftPrompt, softPromptOf } from "../../shared/operations/soft-prompt.ts";
import { encodedRows, type Say, type TaskRows } from "../../shared/operations/texts.ts";
import { checkTuning, type TuneRequest, tunePrompt } from "../../shared/operations/tune.ts";
import {
  type GivenSchedule,
  PROMPT_TOKENS,
  type Schedule,
  scheduleFor,
} from "../../shared/operations/tune-defaults.ts";
import { type Guarantee, planFor } from "../../shared/operations/tune-plan.ts";
import type { PrivacyPlan } from "../../shared/privacy/plan.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import { cryptoRandom, type RandomSource } from "../../shared/protocol/random.ts";
import { isGeneration, type Task } from "../../shared/protocol/task.ts";
import type { Watch } from "../../shared/training/events.ts";
import { chargeRun, finishCharged, type Total } from "../charge-run.ts";
import { guaranteeFault } from "../guarantee-rules.ts";
import { requireNumbers } from "../number-rules.ts";
import { type GivenTask, sayTo, taskOf } from "./task.ts";
import { type EngineOptions, type StateOptions, withEngine, withState } from "./with-engine.ts";

/** With ε or the noise of a guarantee the run is private; without both, nothing is guaranteed. */
export interface TuneOptions extends GivenSchedule, Guarantee {
  readonly model: OpenModel;
  readonly task: GivenTask;
  /** Private rows with labels or targets. */
  readonly train: Data;
  /** A prompt to start from; the task's init text unless told. */
  readonly start?: SoftPrompt | undefined;
  /** That no private row had a part in that prompt; a private run needs it to start from one. */
  readonly publicStart?: boolean | undefined;
  /** Virtual tokens P of a prompt that starts from text. */
  readonly promptTokens?: number | undefined;
  readonly optimizer?: "adam" | "sgd" | undefined;
  /** Of the order; noise never has a seed. */
  readonly seed?: number | undefined;
  /** False to take the rows in the file's order. */
  readonly shuffle?: boolean | undefined;
}

/** What a tuning is made of, all of it read and checked. */
export interface Tuning {
  /** The private rows, in a file. */
  readonly train: Data;
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

/** Reads what a run is made of. @throws ProblemError with what is wrong with task, rows or options */
export async function readTuning(options: TuneOptions & ChargeOptions, say: Say): Promise<Tuning> {
  requireNumbers(options);
  requireGuarantee(options);
  const { model, train, start, optimizer = "adam", shuffle = true, seed = 0 } = options;
  const task = await taskOf(options.task);
  // Before the rows are read: what costs most to mend is said first.
  if (!isGeneration(task)) await verbalizer(task, model.tokenizer);
  const rows = await encodedRows(train, task, model, say);
  const units = options.privacyUnit === undefined ? undefined : await readUnits(train, options.privacyUnit);
  const records = units?.length ?? rows.rows.length;
  const isPrivate = options.epsilon !== undefined || options.noiseMultiplier !== undefined;
  const schedule = scheduleFor(records, isPrivate, options);
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
      dataDigest: await rowsDigest(train),
      start: start ?? options.promptTokens ?? PROMPT_TOKENS,
      publicStart: options.publicStart,
      ...schedule,
      optimizer,
      order: shuffle ? { kind: "shuffled", seed } : { kind: "file" },
    },
  };
}

/** @throws ProblemError if a guarantee is asked for in part */
function requireGuarantee(options: TuneOptions & ChargeOptions): void {
  const fault = guaranteeFault(options, (option) => (option === "shuffle" ? "shuffle: false" : option));
  if (fault) throw new ProblemError("The options are not valid", `${fault}.`, { status: 422 });
}

/** How a run is charged to this machine's ledger of the data. */
export interface ChargeOptions {
  /** Counts all runs under this name together, for data that grow or shrink. */
  readonly dataset?: string | undefined;
  /** Refuses a run if all runs on the data would compose to a larger ε. */
  readonly budgetEpsilon?: number | undefined;
}

/**
 * A tuning that charges itself before its first step.
 * @param onCharged called with what all runs on the data come to
 */
export function chargedRequest(
  { request, privacy, train, task, model }: Tuning,
  run: ChargeOptions & { readonly state: TuneRequest["state"]; readonly out: string },
  say: Say,
  onCharged: (total: Total) => void,
): TuneRequest {
  const { state, out, dataset, budgetEpsilon } = run;
  const note = { out, task: task.name, model: model.name };
  const charge = async () => {
    const charged = {
      plan: privacy!.plan,
      train,
      dataset,
      budgetEpsilon,
      statePath: state.path,
      resume: state.resume,
      note,
    };
    onCharged(await chargeRun(charged, say));
  };
  return { ...request, privacy: privacy && { ...privacy, charge }, state };
}

/** Where the ledger names a prompt's folder: a program has none yet when the run is charged. */
const IN_A_PROGRAM = "(library)";

/** A tuned prompt, and what is known of its making. */
export type TunedSoftPrompt = SoftPrompt & {
  readonly manifest: Manifest;
  /** Mean loss of the last steps, on the private data: for its owner's eyes only. */
  readonly loss: number;
  /** What all private runs on the data come to; null of a run without privacy. */
  readonly total: Total | null;
};

/**
 * Tunes a soft prompt on private rows, which stay on this machine. A private run is charged to this machine's ledger before its first step.
 *
 * @throws ProblemError with what is wrong with task, rows or options; InterruptedError when stopped
 */
export async function tune(
  options: TuneOptions & ChargeOptions & EngineOptions & StateOptions,
  watch: Watch = {},
): Promise<TunedSoftPrompt> {
  const say = sayTo(watch);
  const tuning = await readTuning(options, say);
  const { dataset, budgetEpsilon } = options;
  let total: Total | null = null;
  const { loss, ...made } = await withState(options, async (state) => {
    const run = { dataset, budgetEpsilon, state, out: IN_A_PROGRAM };
    const request = chargedRequest(tuning, run, say, (charged) => {
      total = charged;
    });
    const checked = await checkTuning(request);
    const tuned = await withEngine(options, (engine) => tunePrompt(checked, engine, watch));
    if (tuning.plan) await finishCharged(state.path);
    return tuned;
  });
  return { ...(await softPromptOf(made)), loss, total };
}

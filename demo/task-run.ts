import { join } from "node:path";
import type { Curve } from "../examples/charts.ts";
import type { Budget } from "../shared/protocol/budget.ts";
import type { Transfer } from "../shared/protocol/transfer.ts";
import { Client, type Submitted } from "./client.ts";
import type { TaskFiles } from "./corpora/task-files.ts";
import { type Parties, withoutManifest } from "./folders.ts";
import { bagOfWordsAccuracy } from "./report/bag-of-words.ts";
import type { MethodResult, TaskResults, TransferResult } from "./report/results.ts";
import { TASKS, type TaskSettings, TUNE_ON_TARGET, type TuningSchedule } from "./settings.ts";
import { type Finished, type Party, softpost } from "./softpost.ts";

/** The prompts of a task: tuned with privacy and without. They lie in the client's folder under the task's name. */
export const PROMPTS = { private: "prompt-dp", plain: "prompt" } as const;

export interface TaskRun {
  readonly results: TaskResults;
  readonly transfers: readonly TransferResult[];
  /** The budgets when only the prompt with privacy was submitted. */
  readonly between: Budget;
}

/** Runs every method on one task; the student is in the client's folder, and the provider is up. */
export async function runTask(parties: Parties, files: TaskFiles): Promise<TaskRun> {
  const commands = new TaskCommands(parties, files);
  const client = new Client(parties.client);
  const { name } = files.task;

  console.log(`\nThe client tunes on the student with its ${files.train.length} private examples, with privacy,`);
  const tunedDp = await commands.tunePrivately();
  console.log(
    "\nasks what a transfer would cost, and submits the prompt and its manifest: nothing else leaves its folder.",
  );
  const submittedDp = await client.submit(name, PROMPTS.private);
  const between = await client.budget();
  console.log("\nWhile the provider transfers it, the client tunes without privacy and submits that too.");
  const tuned = await commands.tune();
  const submitted = await client.submit(name, PROMPTS.plain);

  console.log("\nFor comparison only, client's data and target in one place; the provider goes on.");
  const onTarget = await commands.tuneOnTarget();
  commands.copyDirectly();

  console.log("\nThe client waits for its prompts and downloads them.");
  const movedDp = await client.collect(submittedDp, `${name}/moved-dp`);
  const moved = await client.collect(submitted, `${name}/moved`);

  console.log("\nEvaluating on the test examples.");
  const compared = await evaluateHere(commands, files, { tuned, onTarget });
  console.log(
    "\nThe client, which hasn't the target's files, lets the provider label its test texts: these it shows to the provider.",
  );
  const post = await client.accuracy(name, submitted.id, files.test);
  const dpPost = await client.accuracy(name, submittedDp.id, files.test);
  const methods = [
    ...compared.before,
    row(files, "POST", "target at the provider, the prompt transferred", post, tuned, moved),
    row(files, "DP POST", "the same, tuned with privacy", dpPost, tunedDp, movedDp),
    compared.full,
  ];
  const { epsilon, delta } = tunedDp.result.privacy as { epsilon: number; delta: number };
  const classes = files.task.labels.map((label) => label.name);
  const results: TaskResults = {
    name,
    about: TASKS[name]!.about,
    classes,
    testExamples: files.test.length,
    methods,
    privacy: { epsilon, delta },
    bagOfWords: bagOfWordsAccuracy(files.train, files.test, classes),
    tuning: [curve("student", tuned), curve("student, with DP", tunedDp), curve("target", onTarget)],
    transfer: [curve("POST", moved), curve("DP POST", movedDp)],
  };
  const transfers = [
    transferResult(`${name}, with privacy`, submittedDp, movedDp),
    transferResult(`${name}, without`, submitted, moved),
  ];
  return { results, transfers, between };
}

/** What runs while the provider's jobs do leaves them a core. */
const BESIDE_JOBS = ["--threads", "1"];

/** The commands of one task, with its files and settings filled in. */
class TaskCommands {
  readonly #parties: Parties;
  readonly #name: string;
  readonly #settings: TaskSettings;

  constructor(parties: Parties, { task }: TaskFiles) {
    this.#parties = parties;
    this.#name = task.name;
    this.#settings = TASKS[task.name]!;
  }

  tune(): Promise<Finished> {
    const own = { party: this.#parties.client, model: "student", files: this.#name };
    return this.#tune({ ...own, out: `${this.#name}/${PROMPTS.plain}` }, this.#settings.tune, BESIDE_JOBS);
  }

  tunePrivately(): Promise<Finished> {
    const { epsilon, delta, clip, ...schedule } = this.#settings.privateTune;
    const privacy = ["--epsilon", String(epsilon), "--delta", String(delta), "--clip", String(clip)];
    const own = { party: this.#parties.client, model: "student", files: this.#name };
    return this.#tune({ ...own, out: `${this.#name}/${PROMPTS.private}` }, schedule, privacy);
  }

  /** What neither party could do alone. */
  tuneOnTarget(): Promise<Finished> {
    const own = { party: this.#parties.referee, model: "provider/target", files: `client/${this.#name}` };
    return this.#tune({ ...own, out: `comparison/${this.#name}/prompt` }, TUNE_ON_TARGET, BESIDE_JOBS);
  }

  /** The student's prompt as one of the target. */
  copyDirectly(): void {
    const { client, referee } = this.#parties;
    const copy = join(referee.folder, "comparison", this.#name, "direct");
    withoutManifest(join(client.folder, this.#name, PROMPTS.plain), copy);
  }

  #tune(
    { party, model, files, out }: { party: Party; model: string; files: string; out: string },
    { steps, averagedSteps, batchSize, learningRate }: TuningSchedule,
    more: readonly string[] = [],
  ): Promise<Finished> {
    return softpost(
      party,
      ...["tune", "--model", model, "--task", `${files}/task.json`, "--train", `${files}/train.jsonl`],
      ...["--prompt-tokens", String(this.#settings.promptTokens), "--steps", String(steps)],
      ...["--batch-size", String(batchSize), "--lr", String(learningRate), "--average", String(averagedSteps)],
      ...[...more, "--out", out],
    );
  }

  /** The accuracy on the test examples. */
  async accuracy(model: string, prompt?: string): Promise<number> {
    const own = `client/${this.#name}`;
    const flags = prompt === undefined ? [] : ["--prompt", prompt];
    const { result } = await softpost(
      this.#parties.referee,
      ...["evaluate", "--model", model, "--task", `${own}/task.json`, "--data", `${own}/test.jsonl`, ...flags],
    );
    return result.accuracy as number;
  }
}

/** What needs the files of both parties, or none of the provider's. */
async function evaluateHere(
  commands: TaskCommands,
  files: TaskFiles,
  { tuned, onTarget }: Readonly<Record<"tuned" | "onTarget", Finished>>,
): Promise<{ before: MethodResult[]; full: MethodResult }> {
  const { name } = files.task;
  const [student, target, own] = ["client/student", "provider/target", `client/${name}`];
  const zeroShot = await commands.accuracy(target);
  const direct = await commands.accuracy(target, `comparison/${name}/direct`);
  const compressed = await commands.accuracy(student, `${own}/${PROMPTS.plain}`);
  const full = await commands.accuracy(target, `comparison/${name}/prompt`);
  return {
    before: [
      row(files, "majority class", "no model", majorityShare(files)),
      row(files, "full zero-shot", "target, no prompt", zeroShot),
      row(files, "direct transfer", "target, the student's prompt as it is", direct, tuned),
      row(files, "compressed PT", "student, its own prompt", compressed, tuned),
    ],
    full: row(files, "full PT", "target, prompt tuned on it", full, onTarget),
  };
}

function row(
  { task, train, public: texts }: TaskFiles,
  method: string,
  how: string,
  accuracy: number,
  tuned?: Finished,
  moved?: Transfer,
): MethodResult {
  return {
    method,
    how,
    accuracy,
    privateExamples: tuned ? train.length : 0,
    publicExamples: moved ? Math.min(TASKS[task.name]!.publicTexts, texts.length) : 0,
    seconds: (tuned?.seconds ?? 0) + (moved?.cost?.deviceSeconds ?? 0),
  };
}

function curve(name: string, { losses }: Pick<Finished, "losses">): Curve {
  return { name, losses };
}

function transferResult(prompt: string, { quote }: Submitted, { cost, travel }: Transfer): TransferResult {
  return { prompt, estimate: quote.estimate, reserve: quote.reserve, cost: cost!, travel: travel! };
}

/** The share of the test examples that have the most frequent class of the training examples. */
function majorityShare({ task, train, test }: TaskFiles): number {
  const counts = task.labels.map(({ name }) => train.filter(({ label }) => label === name).length);
  const majority = task.labels[counts.indexOf(Math.max(...counts))]!.name;
  return test.filter(({ label }) => label === majority).length / test.length;
}

import type { TaskFiles } from "./corpora/task-files.ts";
import { CLIENT, download, PROVIDER, upload, withoutManifest } from "./folders.ts";
import { bagOfWordsAccuracy } from "./report/bag-of-words.ts";
import type { Curve, MethodResult, SentFile, TaskResults } from "./report/results.ts";
import { type Schedule, TASKS, type TaskSettings } from "./settings.ts";
import { type Finished, softpost } from "./softpost.ts";

const TARGET = `${PROVIDER}/target`;
const STUDENT = `${CLIENT}/student`;
/** Prompts that neither party could make alone, for comparison only. */
const COMPARISON = "comparison";

/** Runs every method on one task. Returns what was measured and what the client sent. */
export async function runTask(folder: string, files: TaskFiles): Promise<{ results: TaskResults; sent: SentFile[] }> {
  const commands = new TaskCommands(folder, files);
  const { name } = files.task;

  console.log(`\nThe client tunes on the student with its ${files.train.length} private examples,`);
  const tuned = await commands.tune(STUDENT, `${CLIENT}/${name}/prompt`);
  console.log("\nand again with differential privacy.");
  const tunedDp = await commands.tunePrivately(STUDENT, `${CLIENT}/${name}/prompt-dp`);

  const sent = ["prompt", "prompt-dp"].flatMap((prompt) => upload(folder, `${name}/${prompt}`));
  tellSent(sent);

  console.log("\nThe provider transfers both prompts to the target with public texts.");
  const moved = await commands.transfer("prompt");
  const movedDp = await commands.transfer("prompt-dp");

  console.log("\nFor comparison only, client's data and target in one place:");
  const onTarget = await commands.tune(TARGET, `${COMPARISON}/${name}/prompt`);
  withoutManifest(folder, `${CLIENT}/${name}/prompt`, `${COMPARISON}/${name}/direct`);

  console.log("\nEvaluating on the test examples.");
  const methods = await evaluateAll(commands, files, { tuned, tunedDp, moved, movedDp, onTarget });
  const { epsilon, delta } = tunedDp.result.privacy as { epsilon: number; delta: number };
  const classes = files.task.labels.map((label) => label.name);
  const results: TaskResults = {
    ...{ name, about: TASKS[name]!.about, classes, testExamples: files.test.length, methods },
    privacy: { epsilon, delta },
    bagOfWords: bagOfWordsAccuracy(files.train, files.test, classes),
    tuning: [curve("student", tuned), curve("student, with DP", tunedDp), curve("target", onTarget)],
    transfer: [curve("POST", moved), curve("DP POST", movedDp)],
  };
  return { results, sent };
}

/** The commands of one task, with its files and settings filled in. */
class TaskCommands {
  readonly #folder: string;
  readonly #name: string;
  readonly #settings: TaskSettings;

  constructor(folder: string, { task }: TaskFiles) {
    this.#folder = folder;
    this.#name = task.name;
    this.#settings = TASKS[task.name]!;
  }

  tune(model: string, out: string): Promise<Finished> {
    return this.#tune(model, out, this.#settings.tune);
  }

  tunePrivately(model: string, out: string): Promise<Finished> {
    const { epsilon, delta, clip, ...schedule } = this.#settings.privateTune;
    const privacy = ["--epsilon", String(epsilon), "--delta", String(delta), "--clip", String(clip)];
    return this.#tune(model, out, schedule, privacy);
  }

  #tune(model: string, out: string, schedule: Schedule, more: readonly string[] = []): Promise<Finished> {
    const own = `${CLIENT}/${this.#name}`;
    return softpost(
      this.#folder,
      ...["tune", "--model", model, "--task", `${own}/task.json`, "--train", `${own}/train.jsonl`],
      ...["--prompt-tokens", String(this.#settings.promptTokens), ...scheduleFlags(schedule), ...more, "--out", out],
    );
  }

  /** Transfers a prompt that the provider received; the client downloads the result. */
  async transfer(prompt: string): Promise<Finished> {
    const moved = `moved/${this.#name}/${prompt}`;
    const { alpha, ...schedule } = this.#settings.transfer;
    const finished = await softpost(
      this.#folder,
      ...["transfer", "--target", TARGET, "--student", `${PROVIDER}/student`],
      ...["--prompt", `${PROVIDER}/received/${this.#name}/${prompt}`],
      ...["--public", `${PROVIDER}/${this.#name}-public.jsonl`, "--alpha", String(alpha), ...scheduleFlags(schedule)],
      ...["--out", `${PROVIDER}/${moved}`],
    );
    download(this.#folder, moved);
    return finished;
  }

  /** The accuracy on the test examples. */
  async accuracy(model: string, prompt?: string): Promise<number> {
    const own = `${CLIENT}/${this.#name}`;
    const flags = prompt === undefined ? [] : ["--prompt", prompt];
    const { result } = await softpost(
      this.#folder,
      ...["evaluate", "--model", model, "--task", `${own}/task.json`, "--data", `${own}/test.jsonl`, ...flags],
    );
    return result.accuracy as number;
  }
}

type Runs = Readonly<Record<"tuned" | "tunedDp" | "moved" | "movedDp" | "onTarget", Finished>>;

async function evaluateAll(commands: TaskCommands, files: TaskFiles, runs: Runs): Promise<MethodResult[]> {
  const { name } = files.task;
  const publicExamples = Math.min(TASKS[name]!.publicTexts, files.public.length);
  const row = (method: string, how: string, accuracy: number, tuned?: Finished, moved?: Finished): MethodResult => ({
    ...{ method, how, accuracy },
    privateExamples: tuned ? files.train.length : 0,
    publicExamples: moved ? publicExamples : 0,
    seconds: (tuned?.seconds ?? 0) + (moved?.seconds ?? 0),
  });
  const zeroShot = await commands.accuracy(TARGET);
  const direct = await commands.accuracy(TARGET, `${COMPARISON}/${name}/direct`);
  const student = await commands.accuracy(STUDENT, `${CLIENT}/${name}/prompt`);
  const post = await commands.accuracy(TARGET, `${CLIENT}/moved/${name}/prompt`);
  const dpPost = await commands.accuracy(TARGET, `${CLIENT}/moved/${name}/prompt-dp`);
  const full = await commands.accuracy(TARGET, `${COMPARISON}/${name}/prompt`);
  return [
    row("majority class", "no model", majorityShare(files)),
    row("full zero-shot", "target, no prompt", zeroShot),
    row("direct transfer", "target, the student's prompt as it is", direct, runs.tuned),
    row("compressed PT", "student, its own prompt", student, runs.tuned),
    row("POST", "target, the prompt transferred", post, runs.tuned, runs.moved),
    row("DP POST", "the same, tuned with privacy", dpPost, runs.tunedDp, runs.movedDp),
    row("full PT", "target, prompt tuned on it", full, runs.onTarget),
  ];
}

function scheduleFlags({ steps, batchSize, learningRate }: Schedule): string[] {
  return ["--steps", String(steps), "--batch-size", String(batchSize), "--lr", String(learningRate)];
}

function curve(name: string, { losses }: Finished): Curve {
  return { name, losses };
}

/** The share of the test examples that have the most frequent class of the training examples. */
function majorityShare({ task, train, test }: TaskFiles): number {
  const counts = task.labels.map(({ name }) => train.filter(({ label }) => label === name).length);
  const majority = task.labels[counts.indexOf(Math.max(...counts))]!.name;
  return test.filter(({ label }) => label === majority).length / test.length;
}

function tellSent(sent: readonly SentFile[]): void {
  const total = sent.reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(`\nWhat leaves the client is exactly its prompt folders, ${total} bytes:`);
  for (const { name, bytes } of sent) console.log(`  ${name}  ${bytes}`);
}

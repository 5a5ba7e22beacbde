import type { TaskFiles } from "./corpora/task-files.ts";
import { CLIENT, download, PROVIDER, upload, withoutManifest } from "./folders.ts";
import { bagOfWordsAccuracy } from "./report/bag-of-words.ts";
import type { Curve, MethodResult, SentFile, TaskResults } from "./report/results.ts";
import { type Schedule, TASKS } from "./settings.ts";
import { type Finished, softpost } from "./softpost.ts";

const TARGET = `${PROVIDER}/target`;
const STUDENT = `${CLIENT}/student`;

/** Runs every method on one task. Returns what was measured and what the client sent. */
export async function runTask(folder: string, files: TaskFiles): Promise<{ results: TaskResults; sent: SentFile[] }> {
  const { task, train, test } = files;
  const settings = TASKS[task.name]!;
  const own = `${CLIENT}/${task.name}`;
  const run = (...args: string[]) => softpost(folder, ...args);
  const tune = (model: string, out: string, schedule: Schedule, ...more: string[]) =>
    run(
      ...["tune", "--model", model, "--task", `${own}/task.json`, "--train", `${own}/train.jsonl`],
      ...["--prompt-tokens", String(settings.promptTokens), ...scheduleFlags(schedule), ...more, "--out", out],
    );
  const accuracy = async (model: string, prompt?: string) => {
    const flags = prompt === undefined ? [] : ["--prompt", prompt];
    const command = ["evaluate", "--model", model, "--task", `${own}/task.json`, "--data", `${own}/test.jsonl`];
    return (await run(...command, ...flags)).result.accuracy as number;
  };
  const { epsilon, delta, clip } = settings.privateTune;

  console.log(`\nThe client tunes on the student with its ${train.length} private examples,`);
  const tuned = await tune(STUDENT, `${own}/prompt`, settings.tune);
  console.log("\nand again with differential privacy.");
  const privacyFlags = ["--epsilon", String(epsilon), "--delta", String(delta), "--clip", String(clip)];
  const tunedDp = await tune(STUDENT, `${own}/prompt-dp`, settings.privateTune, ...privacyFlags);

  const sent = [`${task.name}/prompt`, `${task.name}/prompt-dp`].flatMap((prompt) => upload(folder, prompt));
  tellSent(sent);

  console.log("\nThe provider transfers both prompts to the target with public texts.");
  const transfer = (prompt: string) =>
    run(
      ...["transfer", "--target", TARGET, "--student", `${PROVIDER}/student`],
      ...[
        "--prompt",
        `${PROVIDER}/received/${task.name}/${prompt}`,
        "--public",
        `${PROVIDER}/${task.name}-public.jsonl`,
      ],
      ...["--alpha", String(settings.transfer.alpha), ...scheduleFlags(settings.transfer)],
      ...["--out", `${PROVIDER}/moved/${task.name}/${prompt}`],
    );
  const moved = await transfer("prompt");
  const movedDp = await transfer("prompt-dp");
  for (const prompt of ["prompt", "prompt-dp"]) download(folder, `moved/${task.name}/${prompt}`);

  console.log(
    "\nFor comparison only, with the client's data and the target in one place: what a provider that sees all could do.",
  );
  const onTarget = await tune(TARGET, `comparison/${task.name}/prompt`, settings.tune);
  withoutManifest(folder, `${own}/prompt`, `comparison/${task.name}/direct`);

  console.log("\nEvaluating on the test examples.");
  const publicExamples = Math.min(settings.publicTexts, files.public.length);
  const row = (
    method: string,
    how: string,
    share: number,
    used: { tuned?: Finished; moved?: Finished } = {},
  ): MethodResult => ({
    ...{ method, how, accuracy: share },
    privateExamples: used.tuned ? train.length : 0,
    publicExamples: used.moved ? publicExamples : 0,
    seconds: (used.tuned?.seconds ?? 0) + (used.moved?.seconds ?? 0),
  });
  const received = `${CLIENT}/moved/${task.name}`;
  const methods = [
    row("majority class", "no model", majorityShare(files)),
    row("full zero-shot", "target, no prompt", await accuracy(TARGET)),
    row(
      "direct transfer",
      "target, the student's prompt as it is",
      await accuracy(TARGET, `comparison/${task.name}/direct`),
      { tuned },
    ),
    row("compressed PT", "student, its own prompt", await accuracy(STUDENT, `${own}/prompt`), { tuned }),
    row("POST", "target, the prompt transferred", await accuracy(TARGET, `${received}/prompt`), { tuned, moved }),
    row(`DP POST`, "the same, tuned with privacy", await accuracy(TARGET, `${received}/prompt-dp`), {
      tuned: tunedDp,
      moved: movedDp,
    }),
    row("full PT", "target, prompt tuned on it", await accuracy(TARGET, `comparison/${task.name}/prompt`), {
      tuned: onTarget,
    }),
  ];
  const privacy = tunedDp.result.privacy as { epsilon: number; delta: number };
  const classes = task.labels.map(({ name }) => name);
  const results: TaskResults = {
    ...{ name: task.name, about: settings.about, classes, testExamples: test.length, methods },
    privacy: { epsilon: privacy.epsilon, delta: privacy.delta },
    bagOfWords: bagOfWordsAccuracy(train, test, classes),
    tuning: [curve("student", tuned), curve("student, with DP", tunedDp), curve("target", onTarget)],
    transfer: [curve("POST", moved), curve("DP POST", movedDp)],
  };
  return { results, sent };
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

/** What a whole transfer takes: a sum of what its texts are read for once and of its steps, none of which depends on another's time. */
import { Engine } from "../shared/graph/engine.ts";
import { type Tensor, variable } from "../shared/graph/tensor.ts";
import { readHidden } from "../shared/models/forward.ts";
import type { Model } from "../shared/models/model.ts";
import { sharedPrompt } from "../shared/training/evaluate.ts";
import { classScores } from "../shared/training/losses.ts";
import { ROWS_AT_ONCE, textInputs } from "../shared/training/texts.ts";
import { figure, inTurn, type Subject, spread, subject, type Time } from "./measure.ts";
import { randomGpt2, WIDTH } from "./models.ts";
import { startPeer } from "./peer.ts";
import type { Asked, ServingOptions } from "./serving.ts";
import { CLASSES, randomBatch, type Size, transferStep } from "./steps.ts";

const [TARGET_LAYERS, STUDENT_LAYERS] = [12, 4] as const;
const SIZE: Size = { B: 8, P: 100, T: 32 };
const TEXTS = 128;
const STEPS = 5000;

/** Subjects of one way to transfer: what is read once, if anything is, and a step. */
interface Way {
  readonly name: string;
  readonly once?: Subject;
  readonly step: Subject;
}

/** Times texts and steps of both losses in turn with the reference's step, here and of another program, and prints the sums. */
export async function wholeTransfer(options: ServingOptions, { keep }: Pick<Asked, "keep">): Promise<void> {
  const { models, threads, runs, peer: command } = options;
  const engine = new Engine({ threads });
  const target = (await randomGpt2(models, TARGET_LAYERS)).model;
  const student = (await randomGpt2(models, STUDENT_LAYERS)).model;
  const [classes, vocabulary] = (["classes", "vocabulary"] as const).map((loss) =>
    transferStep(target, student, loss, SIZE),
  );
  await engine.set(classes!.variables);
  const inputs = textInputs();
  const feeds = randomBatch({ ...SIZE, B: ROWS_AT_ONCE });
  const prompt = sharedPrompt(variable("studentPrompt", [SIZE.P, WIDTH]));
  const read = async (outputs: Readonly<Record<string, Tensor>>) =>
    subject(await engine.load({ outputs }), feeds, TEXTS / ROWS_AT_ONCE);
  const prompted = readHidden(student, inputs, prompt);
  const bare = (model: Model) => readHidden(model, inputs);
  const ways: Way[] = [
    {
      name: "class loss",
      once: await read({ prompted: classScores(student, prompted, CLASSES) }),
      step: subject(await engine.load(classes!.ours), classes!.feeds),
    },
    {
      name: "vocabulary loss",
      once: await read({ prompted, student: bare(student), target: bare(target) }),
      step: subject(await engine.load(vocabulary!.ours), vocabulary!.feeds),
    },
    { name: "naive layout", step: subject(await engine.load(vocabulary!.naive!), vocabulary!.feeds) },
  ];
  const sizes = { L: TARGET_LAYERS, ...SIZE, threads };
  const args = Object.entries(sizes).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  const peer = command && (await startPeer(command.split(" "), ["transfer-ref", models, ...args]));
  if (peer) ways.push({ name: "transfer-ref", step: peer });

  const parts = ways.flatMap(({ once, step }) => (once ? [once, step] : [step]));
  const times = await inTurn(parts, runs);
  if (peer) peer.stop();
  await engine.close();
  const timesOf = (part: Subject) => times[parts.indexOf(part)]!.map((time: Time) => time.cpu / 1000);
  const sums = ways.map(({ once, step }) => {
    const read = once && timesOf(once);
    return timesOf(step).map((seconds, run) => (read?.[run] ?? 0) + STEPS * seconds);
  });
  console.log(`whole transfer: ${TEXTS} texts once and ${STEPS} steps, a sum of what each took, in seconds of CPU`);
  const figures = ways.map(({ name, once }, i) => {
    const seconds = spread(sums[i]!);
    const ratio = spread(sums[i]!.map((sum, run) => sum / sums[0]![run]!));
    const reading = once ? `, of which texts ${figure(spread(timesOf(once)))}` : "";
    console.log(`  ${name}: ${figure(seconds)}${reading}; ${figure(ratio)} times the class loss's`);
    return { name, seconds, ratio };
  });
  keep({ name: "whole transfer", sizes, texts: TEXTS, steps: STEPS, figures });
}

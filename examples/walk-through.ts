/** The method, step by step, with what comes of each: writes `walk-through.html`, which needs no other file. Few steps, and so small figures: docs/results.md has the real ones. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { distill, evaluate, openModel, type SoftPrompt, transfer, tune, type Watch } from "softpost";
import { accuracyChart, type Curve, lossChart, type Point } from "./charts.ts";

const task = "examples/mailbox/task.json";
const train = "examples/mailbox/private.jsonl";
// The same rows, without their labels, stand for public texts: a provider takes texts of its own.
const test = "examples/mailbox/test.jsonl";

const curves: Curve[] = [];
/** A watcher that keeps the loss of every step. */
function curve(name: string): Watch {
  const losses: Point[] = [];
  curves.push({ name, losses });
  return {
    onEvent(event) {
      if (event.kind === "progress" && event.loss !== undefined) losses.push({ step: event.done, loss: event.loss });
    },
  };
}

const methods: { readonly method: string; readonly accuracy: number }[] = [];
let testExamples = 0;
/** Measures a model on the test rows, with a prompt or without one. */
async function measure(method: string, model: Awaited<ReturnType<typeof openModel>>, prompt?: SoftPrompt) {
  const { kind, figures } = await evaluate({ model, prompt, task, data: test });
  if (kind !== "classification") throw new Error("The task has no labels.");
  methods.push({ method, accuracy: figures.accuracy });
  testExamples = figures.examples;
  console.log(`${method}: ${(100 * figures.accuracy).toFixed(1)} % of ${testExamples}`);
}

const folder = await mkdtemp(join(tmpdir(), "softpost-walk-"));
try {
  const target = await openModel("demo/model");
  await measure("target, no prompt", target);

  const out = join(folder, "student");
  await distill({ target, public: [test], out, layers: [-1], steps: 20, maxLength: 32 }, curve("student"));
  const student = await openModel(out);
  await measure("student, no prompt", student);

  const schedule = { promptTokens: 10, steps: 30, batchSize: 40 };
  const tuned = await tune({ model: student, task, train, epsilon: 8, ...schedule }, curve("tuning, ε = 8"));
  await measure("student, its prompt", student, tuned);
  await measure("target, that prompt", target, tuned);

  const moved = await transfer({ target, student, prompt: tuned, public: test, steps: 40 }, curve("transfer"));
  await measure("target, POST", target, moved);
} finally {
  await rm(folder, { recursive: true, force: true });
}

const charts = curves.map((one) => lossChart(one.name, [one]));
const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>POST, step by step</title>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 800px; margin: 2rem auto">
<h1>POST, step by step</h1>
<p>The provider has a target. Without a prompt it knows nothing of the client's mails.</p>
<p>1. It distills a student, on public text; clients download it.</p>${charts[0]}
<p>2. The client tunes a soft prompt on the student, privately. This loss is of private rows: for its owner's eyes.</p>${charts[1]}
<p>3. The provider turns the prompt into one for the target, on public texts.</p>${charts[2]}
<p>What came of it, after so few steps:</p>${accuracyChart({ name: "mailbox", testExamples, methods })}
</html>
`;
await writeFile("walk-through.html", page);
console.log("Wrote walk-through.html");

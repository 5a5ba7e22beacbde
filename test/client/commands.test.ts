import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { toFloat32 } from "../../shared/prompt/dtype.ts";
import { parseHeader } from "../../shared/prompt/safetensors.ts";
import { parseManifest } from "../../shared/protocol/manifest.ts";
import { fixture, goldenTask } from "../helpers/fixtures.ts";
import { softpost, softpostProcess } from "../helpers/softpost.ts";
import { withSwappedTokens } from "../helpers/swapped-tokenizer.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const model = ["--model", fixture("tiny-gpt2")];
const task = ["--task", fixture("tiny-task/task.json")];
const train = ["--train", fixture("tiny-task/train.jsonl")];
const prompt = ["--prompt", fixture("tiny-prompt")];
const data = (name: string) => ["--data", fixture(`tiny-task/${name}.jsonl`)];

/** A golden tensor by its name, and the largest difference between two tensors relative to the largest value. */
const golden = new Uint8Array(readFileSync(fixture("golden/tiny-task.safetensors")));
function goldenTensor(name: string): Float32Array {
  const { begin, end } = parseHeader(golden, golden.length, "golden").tensors.get(name)!;
  return toFloat32(golden.subarray(begin, end), "F32");
}
function difference(actual: Float32Array, wanted: Float32Array): number {
  const largest = (values: Float32Array) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return largest(actual.map((value, i) => value - wanted[i]!)) / largest(wanted);
}

async function json(...args: string[]) {
  const { code, stdout, stderr } = await softpost(...args, "--json");
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe("evaluate and predict agree with PEFT", () => {
  test.each([
    ["train", "zeroShot", []],
    ["test", "zeroShot", []],
    ["test", "prompted", prompt],
  ] as const)("evaluate: %s, %s", async (split, kind, more) => {
    const wanted = goldenTask.evaluation[split][kind];
    const result = await json("evaluate", ...model, ...task, ...data(split), ...more);
    expect(result).toMatchObject({ examples: wanted.predicted.length, accuracy: wanted.accuracy });
    expect(result.loss).toBeCloseTo(wanted.loss, 5);
    expect(result.classes.map(({ name }: { name: string }) => name)).toEqual(["negative", "positive"]);
  });

  test("predict, in the rows' order", async () => {
    const { code, stdout } = await softpost("predict", ...model, ...task, ...prompt, ...data("test"));
    expect(code).toBe(0);
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const { predicted, probabilities } = goldenTask.evaluation.test.prompted;
    expect(rows.map(({ label }) => label)).toEqual(predicted.map((k) => ["negative", "positive"][k]));
    rows.forEach((row, i) => {
      expect(row.probabilities.negative).toBeCloseTo(probabilities[i]![0]!, 5);
      expect(row.probabilities.positive).toBeCloseTo(probabilities[i]![1]!, 5);
    });
  });
});

test.each(goldenTask.sgd)(
  "a plain SGD step over the first $batchSize rows moves the prompt by PEFT's gradient",
  async ({ batchSize, loss }) => {
    const out = join(temporaryFolder(), "out");
    const step = ["--optimizer", "sgd", "--lr", "1", "--steps", "1", "--no-shuffle", "--batch-size", String(batchSize)];
    const result = await json("tune", ...model, ...task, ...train, ...prompt, ...step, "--out", out);
    expect(result.loss).toBeCloseTo(loss, 5);
    const [before, after] = await Promise.all([readPromptFolder(fixture("tiny-prompt")), readPromptFolder(out)]);
    const moved = before.prompt.map((value, i) => value - after.prompt[i]!);
    expect(difference(moved, goldenTensor(`gradient.${batchSize}`))).toBeLessThan(1e-4);
    expect(difference(after.prompt, goldenTensor(`after.${batchSize}`))).toBeLessThan(1e-5);
  },
);

test("the whole method: distill, tune with and without privacy, transfer, evaluate", async () => {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  const corpus = temporaryFile("corpus.txt", "The film was good. The story was bad. ".repeat(20));
  const few = ["--steps", "3", "--batch-size", "4"];

  const distilled = ["--target", fixture("tiny-gpt2"), "--public", corpus, "--max-length", "16", ...few];
  expect(await json("distill", ...distilled, "--out", at("student"))).toMatchObject({ steps: 3, layers: [0, -1] });
  const student = ["--model", at("student")];

  const tuning = [...student, ...task, ...train, "--prompt-tokens", "4", ...few];
  const plain = await json("tune", ...tuning, "--eval", fixture("tiny-task/test.jsonl"), "--out", at("ps"));
  expect(plain).toMatchObject({ steps: 3, accuracy: expect.any(Number), loss: expect.any(Number), privacy: null });

  const dp = await json("tune", ...tuning, "--epsilon", "8", "--delta", "0.01", "--average", "2", "--out", at("dp"));
  const guarantee = { delta: 0.01, steps: 3, clip: 1, sampleRate: 4 / 12, records: 12, accountant: expect.any(String) };
  expect(dp.privacy).toMatchObject(guarantee);
  expect(dp.privacy.epsilon).toBeLessThanOrEqual(8);
  const manifest = parseManifest(readFileSync(join(at("dp"), "softpost.json"), "utf8"), "dp");
  expect(manifest.privacy).toMatchObject(dp.privacy);
  expect(manifest.privacy!.groups!.map(({ group }) => group)).toEqual([2, 5, 10]);
  expect(manifest.training).toMatchObject({ steps: 3, averagedSteps: 2 });

  const transfer = ["--target", fixture("tiny-gpt2"), "--student", at("student"), "--prompt", at("dp")];
  const open = ["--public", fixture("tiny-task/train.jsonl"), ...few];
  expect(await json("transfer", ...transfer, ...open, "--out", at("pt"))).toMatchObject({
    steps: 3,
    alpha: 0,
    travel: { heldOut: 1, agreement: expect.any(Number), divergence: expect.any(Number) },
  });
  const moved = await readPromptFolder(at("pt"));
  expect(moved.manifest).toMatchObject({
    task: manifest.task,
    privacy: manifest.privacy,
    transfer: {
      student: manifest.model,
      promptDigest: manifest.prompt.digest,
      publicSet: { examples: 12, fitted: 11 },
    },
  });
  // Names of folders and files stay out of what is passed on.
  for (const name of ["softpost.json", "adapter_config.json"]) {
    expect(readFileSync(join(at("pt"), name), "utf8")).not.toMatch(/tiny-gpt2|: "student"|"train"/);
  }
  expect(moved.manifest!.model.id).toBe(`model-${moved.manifest!.model.digest.slice(0, 12)}`);
  expect(moved.manifest?.transfer).toMatchObject({ loss: "classes", temperature: 1, training: { averagedSteps: 1 } });
  expect(await json("evaluate", ...model, ...task, ...data("test"), "--prompt", at("pt"))).toMatchObject({
    examples: 8,
  });
  expect(readdirSync(folder).sort()).toEqual(["dp", "ps", "pt", "student"]);

  // A prompt of the student is not one of the target, though their dimensions agree.
  const wrong = await softpost("evaluate", ...model, ...task, ...data("test"), "--prompt", at("ps"));
  expect(wrong).toMatchObject({ code: 1, stdout: "" });
  expect(wrong.stderr).toMatch(
    /for another model: .*ps\/softpost\.json: The prompt was tuned for model-[0-9a-f]{12}, and .*tiny-gpt2 is another model.*transfer the prompt first/,
  );
});

test("a student whose tokenizer isn't the target's is refused", async () => {
  const out = join(temporaryFolder(), "tuned");
  const student = withSwappedTokens("Ġbad", "Ġgood");
  await json("tune", "--model", student, ...task, ...train, "--steps", "1", "--prompt-tokens", "4", "--out", out);
  const parties = ["--target", fixture("tiny-gpt2"), "--student", student, "--prompt", out];
  const { code, stderr } = await softpost(
    "transfer",
    ...parties,
    "--public",
    fixture("tiny-task/train.jsonl"),
    "--out",
    "no",
  );
  expect(stderr).toMatch(/student's tokenizer is not the target's: .*other ids for "Say if the film/);
  expect(code).toBe(1);
});

test("alpha is chosen from labelled public data", async () => {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  cpSync(fixture("tiny-gpt2"), at("student"), { recursive: true });
  const few = ["--steps", "2", "--batch-size", "4"];
  await json("tune", "--model", at("student"), ...task, ...train, ...few, "--prompt-tokens", "4", "--out", at("ps"));
  const transfer = [
    "transfer",
    "--target",
    fixture("tiny-gpt2"),
    "--student",
    at("student"),
    "--prompt",
    at("ps"),
    ...few,
  ];
  const open = ["--public", fixture("tiny-task/train.jsonl"), "--out", at("pt")];
  const labelled = ["--alpha-data", fixture("tiny-task/train.jsonl")];
  const { alpha } = await json(...transfer, ...open, "--alpha", "auto", ...labelled);
  expect(alpha).toBeGreaterThanOrEqual(0);
  expect(alpha).toBeLessThanOrEqual(1);
  expect((await softpost(...transfer, ...open, "--alpha", "auto")).code).toBe(2);
});

test("tuning that is stopped with Ctrl-C and resumed gives the prompt of an undisturbed run, bit for bit", async () => {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  const tuning = ["tune", ...model, ...task, ...train, "--prompt-tokens", "4", "--steps", "100", "--batch-size", "5"];
  const stopped = await softpostProcess([...tuning, "--out", at("parts")], 40);
  expect(stopped).toMatchObject({ code: 130, stdout: "" });
  expect(existsSync(at("parts"))).toBe(false);
  const resumed = await softpost(...tuning, "--out", at("parts"), "--resume");
  expect(resumed.code).toBe(0);
  expect(resumed.stderr).toMatch(/continuing after step \d+/);
  await json(...tuning, "--out", at("whole"));
  for (const name of ["adapter_model.safetensors", "adapter_config.json", "softpost.json"]) {
    expect(readFileSync(join(at("parts"), name)).equals(readFileSync(join(at("whole"), name))), name).toBe(true);
  }
});

import { describe, expect, test } from "vitest";
import { encodeManifest, type Manifest, parseManifest, sha256 } from "../../../shared/protocol/manifest.ts";
import { type ClassificationTask, parseTask } from "../../../shared/protocol/task.ts";
import { problem } from "../../helpers/problem.ts";

const digest = "0123456789abcdef".repeat(4);
const manifest: Manifest = {
  format: "softpost/1",
  task: {
    name: "mailbox",
    template: "{text} It was",
    labels: [
      { name: "ham", words: [" good"] },
      { name: "spam", words: [" bad", " terrible"] },
    ],
    init: "Say whether this mail is spam.",
    maxLength: 128,
  },
  model: { id: "demo/student", digest, architecture: "gpt2" },
  prompt: { virtualTokens: 100, dimension: 128, digest },
  initialisation: { text: "Say whether this mail is spam." },
  training: { optimizer: "adam", learningRate: 1e-3, steps: 500, batchSize: 32 },
  privacy: {
    sampler: "poisson",
    neighbouring: "add-or-remove-one",
    accountant: "pld",
    epsilon: 8,
    delta: 1e-5,
    noiseMultiplier: 0.7,
    sampleRate: 0.01,
    steps: 500,
    clip: 1,
    records: 3200,
    batchSize: 32,
  },
};

describe("the manifest", () => {
  test("survives a round trip", () => {
    expect(parseManifest(encodeManifest(manifest), "softpost.json")).toEqual(manifest);
  });

  test.each<[string, object, string]>([
    ["an accuracy", { training: { ...manifest.training, accuracy: 0.9 } }, "#/training"],
    ["a loss", { loss: 0.1 }, "#"],
    ["examples", { task: { ...manifest.task, examples: ["private"] } }, "#/task"],
    ["a digest of something else", { prompt: { ...manifest.prompt, digest: "x" } }, "#/prompt/digest"],
    ["an epsilon of 0", { privacy: { ...manifest.privacy, epsilon: 0 } }, "#/privacy/epsilon"],
    ["a mask for a causal model", { task: { ...manifest.task, template: "{text} It was {mask}" } }, "#/task/template"],
    ["no mask for a masked model", { model: { ...manifest.model, architecture: "roberta" } }, "#/task/template"],
    ["another format", { format: "softpost/2" }, "#/format"],
  ])("with %s is refused at its place", (_, change, at) => {
    const text = JSON.stringify({ ...manifest, ...change });
    expect(problem(() => parseManifest(text, "softpost.json"))).toContain(`\nsoftpost.json${at}: `);
  });
});

describe("a task", () => {
  const task = manifest.task as ClassificationTask;

  test("has 128 tokens unless it says otherwise", () => {
    const { maxLength: _, ...rest } = task;
    expect(parseTask(JSON.stringify(rest), "task.json")).toEqual(task);
  });

  test.each<[string, object, RegExp]>([
    ["no {text}", { template: "It was" }, /#\/template: Lacks the placeholder \{text\}.*\{text\}/],
    ["{text} twice", { template: "{text} {text}" }, /Has \{text\} 2 times/],
    ["{mask} twice", { template: "{mask} {text} {mask}" }, /\{mask\} at most once/],
    ["one label", { labels: task.labels.slice(1) }, /at least two labels/],
    ["two labels of one name", { labels: [task.labels[0], task.labels[0]] }, /same name/],
    ["a label without words", { labels: [task.labels[0], { name: "x", words: [] }] }, /#\/labels\/1\/words/],
  ])("with %s is refused at its place", (_, change, message) => {
    expect(problem(() => parseTask(JSON.stringify({ ...task, ...change }), "task.json"))).toMatch(message);
  });
});

test("a digest is SHA-256 (FIPS 180-2, appendix B.1)", async () => {
  const digest = await sha256(new TextEncoder().encode("abc"));
  expect(digest).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

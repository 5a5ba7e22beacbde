import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hashModel } from "../../shared/data/model-files.ts";
import { openCheckpoint } from "../../shared/models/checkpoint.ts";
import { readWeight } from "../../shared/models/weights.ts";
import { parseManifest } from "../../shared/protocol/manifest.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const model = fixture("tiny-gpt2");
const data = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
const few = ["--steps", "2", "--batch-size", "2", "--prompt-tokens", "3"];

test("a prompt of a quantised model carries the published digest and how its weights were rounded; a private one isn't tuned", async () => {
  const folder = temporaryFolder();
  const quantised = join(folder, "int4");
  const form = ["--weights", "int4", "--block", "32", "--head"];
  expect(await softpost("quantise", "--model", model, ...form, "--out", quantised)).toMatchObject({ code: 0 });

  const prompt = join(folder, "prompt");
  expect(await softpost("tune", "--model", quantised, ...data, ...few, "--out", prompt)).toMatchObject({ code: 0 });
  const { model: record } = parseManifest(readFileSync(join(prompt, "softpost.json"), "utf8"), "softpost.json");
  expect(record.digest).toBe((await hashModel(model)).digest);
  const quantisation = { weights: "int4", block: 32, symmetric: false, head: true, embeddings: false };
  expect(record.quantisation).toEqual(quantisation);

  // The published model takes the prompt too.
  const test = ["--prompt", prompt, "--data", fixture("tiny-task/test.jsonl")];
  expect(await softpost("evaluate", "--model", model, ...test)).toMatchObject({ code: 0 });

  const again = await softpost("quantise", "--model", quantised, "--weights", "int8", "--out", join(folder, "again"));
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("quantised already") });
  const other = await softpost("evaluate", "--model", quantised, "--weights", "int8", ...test);
  expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("holds int4 weights") });
  const secret = ["--epsilon", "8", "--out", join(folder, "private")];
  const refused = await softpost("tune", "--model", quantised, ...data, ...few, ...secret);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("needs the published weights") });
});

test("a student is distilled from a target in narrow weights, and its prompts can be transferred to it", async () => {
  const folder = temporaryFolder();
  const corpus = temporaryFile("corpus.txt", "The film was good. The story was bad. ".repeat(20));
  const distil = async (target: string, out: string, ...options: string[]) => {
    const rows = ["--public", corpus, "--max-length", "16", "--steps", "2", "--batch-size", "2"];
    const result = await softpost("--json", "distill", "--target", target, ...rows, "--out", out, ...options);
    expect(result).toMatchObject({ code: 0 });
    return JSON.parse(result.stdout).nextToken as { target: number; student: number };
  };
  const wide = await distil(model, join(folder, "wide"));
  const head = join(folder, "int8-head");
  expect(await softpost("quantise", "--model", model, "--weights", "int8", "--head", "--out", head)).toMatchObject({
    code: 0,
  });
  const published = await openCheckpoint(model);
  const embeddings = await readWeight(published, "transformer.wte.weight");

  for (const [name, target, options] of [
    ["fp16", model, ["--weights", "fp16"]],
    ["int8", model, ["--weights", "int8"]],
    ["int4", model, ["--weights", "int4"]],
    ["quantised before", head, []],
  ] as const) {
    const out = join(folder, name);
    const losses = await distil(target, out, ...options);
    // As good as with the wide target, and not computed with it.
    expect(losses.target / wide.target, name).toBeCloseTo(1, 1);
    if (name !== "fp16") expect(losses.target, name).not.toBe(wide.target);
    const student = await openCheckpoint(out);
    expect(
      [...student.weights.values()].every(({ dtype }) => dtype === "F32"),
      name,
    ).toBe(true);
    // A tied head that was quantised before is all that its folder has of the embeddings.
    if (target === model) expect(await readWeight(student, "transformer.wte.weight"), name).toEqual(embeddings);
    const record = JSON.parse(readFileSync(join(out, "softpost-student.json"), "utf8"));
    expect(record.teacher.digest, name).toBe((await hashModel(model)).digest);
  }
  for (const [name, target] of [
    ["int4", model],
    ["quantised before", head],
  ] as const) {
    const student = join(folder, name);
    const prompt = join(folder, `prompt, ${name}`);
    expect(await softpost("tune", "--model", student, ...data, ...few, "--out", prompt)).toMatchObject({ code: 0 });
    const moving = ["--target", target, "--student", student, "--prompt", prompt, "--steps", "1"];
    const texts = ["--public", fixture("tiny-task/train.jsonl"), "--out", `${prompt}, moved`];
    expect(await softpost("transfer", ...moving, ...texts), name).toMatchObject({ code: 0 });
  }
});

test("a target or student whose embeddings were rounded is known for what it is", async () => {
  const folder = temporaryFolder();
  const quantise = async (name: string, ...form: string[]) => {
    const out = join(folder, name);
    expect(await softpost("quantise", "--model", model, ...form, "--out", out)).toMatchObject({ code: 0 });
    return out;
  };
  // A tied head is the embeddings.
  const int8 = await quantise("int8", "--weights", "int8", "--head");
  const int4 = await quantise("int4", "--weights", "int4", "--embeddings");
  let runs = 0;
  const transfer = async (target: string, student: string, ...flags: string[]) => {
    const [prompt, out] = [join(folder, `prompt-${runs}`), join(folder, `moved-${runs++}`)];
    expect(await softpost("tune", "--model", student, ...data, ...few, "--out", prompt)).toMatchObject({ code: 0 });
    const moving = ["--target", target, "--student", student, "--prompt", prompt, "--steps", "1"];
    return softpost("transfer", ...moving, "--public", fixture("tiny-task/train.jsonl"), "--out", out, ...flags);
  };
  for (const [target, student] of [
    [int8, model],
    [model, int8],
    [int4, model],
    [int8, int8],
  ] as const) {
    expect(await transfer(target, student), `${target} ${student}`).toMatchObject({ code: 0 });
  }
  const told = { code: 1, stderr: expect.stringContaining("both quantised, in two ways") };
  expect(await transfer(int8, int4)).toMatchObject(told);
  const other = join(folder, "other");
  cpSync(model, other, { recursive: true });
  const checkpoint = await openCheckpoint(other);
  const embeddings = await readWeight(checkpoint, "transformer.wte.weight");
  const { file, offset } = checkpoint.weights.get("transformer.wte.weight")!.location;
  const bytes = readFileSync(file);
  for (const [i, value] of embeddings.entries()) bytes.writeFloatLE(1.01 * value, offset + 4 * i);
  writeFileSync(file, bytes);
  const strange = { code: 1, stderr: expect.stringContaining("does not have the token embeddings") };
  expect(await transfer(int8, other)).toMatchObject(strange);
  expect(await transfer(other, int8)).toMatchObject(strange);
});

test("the form of the quantised weights has to be said", async () => {
  const result = await softpost("quantise", "--model", model, "--out", join(temporaryFolder(), "out"));
  expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("--weights int8 or --weights int4") });
});

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hashModel } from "../../shared/data/model-files.ts";
import { parseManifest } from "../../shared/protocol/manifest.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

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

test("the form of the quantised weights has to be said", async () => {
  const result = await softpost("quantise", "--model", model, "--out", join(temporaryFolder(), "out"));
  expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("--weights int8 or --weights int4") });
});

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { softpost, softpostProcess } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const config = fileURLToPath(new URL("../fixtures/tiny-gpt2/config.json", import.meta.url));
const text = Array.from({ length: 100 }, (_, i) => `The film was ${i % 3 ? "good" : "bad"}, number ${i}.`).join("\n");

test("a run that is stopped with Ctrl-C and resumed gives the model of an undisturbed one, bit for bit", async () => {
  const folder = temporaryFolder();
  const [whole, parts] = [join(folder, "whole"), join(folder, "parts")];
  const corpus = temporaryFile("corpus.txt", text);
  const sizes = ["--steps", "100", "--batch-size", "2", "--max-length", "16", "--json"];
  const command = (out: string) => ["pretrain", "--corpus", corpus, "--config", config, "--out", out, ...sizes];

  const undisturbed = await softpost(...command(whole));
  expect(undisturbed).toMatchObject({ code: 0 });
  expect(JSON.parse(undisturbed.stdout)).toMatchObject({ steps: 100, out: whole });

  const stopped = await softpostProcess(command(parts), 40);
  expect(stopped).toMatchObject({ code: 130, stdout: "" });
  expect(stopped.stderr).toMatch(/Stopped after step \d+, which is saved\. .*--resume/);
  expect(existsSync(parts)).toBe(false);

  expect((await softpost(...command(parts))).stderr).toMatch(/state of an unfinished run/);
  const other = await softpost(...command(parts), "--resume", "--lr", "1", "--seed", "2");
  expect(other.code).toBe(1);
  expect(other.stderr).toMatch(/--lr: was 0\.003, is 1 now.*--seed: was 0, is 2 now/s);

  expect(await softpost(...command(parts), "--resume")).toMatchObject({ code: 0 });
  const weights = (out: string) => readFileSync(join(out, "model.safetensors"));
  expect(weights(parts).equals(weights(whole))).toBe(true);
  expect(readdirSync(folder).sort()).toEqual(["parts", "whole"]);
  const files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
  expect(readdirSync(parts).sort()).toEqual(files);
});

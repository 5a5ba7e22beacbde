import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { unzipSync } from "fflate";
import { expect, test } from "vitest";
import { readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { loadTokenizer } from "../../shared/data/tokenizer.ts";
import { torchFile } from "../../shared/data/torch-file.ts";
import { openCheckpoint } from "../../shared/models/checkpoint.ts";
import { readWeight } from "../../shared/models/weights.ts";
import { idsOf } from "../helpers/encode.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const model = fixture("tiny-gpt2");
const base = ["export", "--model", model, "--prompt", fixture("tiny-prompt"), "--format", "vllm"];
const task = ["--task", fixture("tiny-task/task.json")];
const data = ["--data", fixture("tiny-task/test.jsonl")];

test("a matrix is written as the file that PyTorch was seen to read", () => {
  const values = Float32Array.of(0, -0, 1.5, Number.NEGATIVE_INFINITY, 1e-45, 3.4e38);
  const wanted = readFileSync(new URL("golden/matrix.pt", import.meta.url));
  expect(Buffer.from(torchFile(values, 2, 3)).equals(wanted)).toBe(true);
});

test("a request holds the prompt's rows and the embeddings of the filled template's tokens", async () => {
  const out = join(temporaryFolder(), "requests.jsonl");
  const { code, stdout, stderr } = await softpost(...base, ...task, ...data, "--out", out, "--json");
  expect(code, stderr).toBe(0);
  const lines = readFileSync(out, "utf8").trim().split("\n");
  expect(JSON.parse(stdout)).toEqual({ requests: lines.length, out });
  expect(statSync(out).mode & 0o077).toBe(0);

  const { prompt, dimension } = await readPromptFolder(fixture("tiny-prompt"));
  const table = await readWeight(await openCheckpoint(model), "transformer.wte.weight");
  const tokenizer = await loadTokenizer(model);
  const { template, labels } = JSON.parse(readFileSync(task[1]!, "utf8"));
  const texts = readFileSync(data[1]!, "utf8").trim().split("\n");
  for (const [i, line] of lines.entries()) {
    const { prompt_embeds: embeds, ...request } = JSON.parse(line);
    expect(request).toEqual({ model, max_tokens: 1, temperature: 0, allowed_token_ids: expect.any(Array) });
    expect(request.allowed_token_ids).toHaveLength(labels.flatMap((label: { words: string[] }) => label.words).length);
    const ids = await idsOf(tokenizer, template.replace("{text}", JSON.parse(texts[i]!).text));
    const rows = ids.map((id) => table.subarray(id * dimension, (id + 1) * dimension));
    const values = Float32Array.from([prompt, ...rows].flatMap((row) => [...row]));
    expect(embeds).toBe(Buffer.from(torchFile(values, values.length / dimension, dimension)).toString("base64"));
    expect(Object.keys(unzipSync(Buffer.from(embeds, "base64")))).toContain("archive/data.pkl");
  }
});

test("the model's name on the server may be another", async () => {
  const out = join(temporaryFolder(), "requests.jsonl");
  await softpost(...base, ...task, ...data, "--served-model", "target", "--out", out);
  expect(JSON.parse(readFileSync(out, "utf8").split("\n")[0]!)).toMatchObject({ model: "target" });
});

test("what can't be exported is refused, and nothing is written", async () => {
  const out = join(temporaryFolder(), "requests.jsonl");
  const there = temporaryFile("requests.jsonl", "old");
  expect((await softpost(...base, ...task, ...data, "--out", there)).stderr).toMatch(/is there already/);
  expect(readFileSync(there, "utf8")).toBe("old");
  expect((await softpost(...base, ...data, "--out", out)).stderr).toMatch(/name the task with --task/);
  const nowhere = join(temporaryFolder(), "none", "requests.jsonl");
  expect((await softpost(...base, ...task, ...data, "--out", nowhere)).stderr).toMatch(/can't be written: ENOENT/);
  expect(await softpost("export", "--model", model)).toMatchObject({ code: 2 });
  expect((await softpost(...base.slice(0, -1), "tgi", ...task, ...data, "--out", out)).stderr).toMatch(
    /choices are vllm/,
  );
  expect(existsSync(out)).toBe(false);
});

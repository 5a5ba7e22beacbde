import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { fixture } from "../helpers/fixtures.ts";
import { startHub } from "../helpers/hub.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("a command takes a hub id, and computes what it computes with the folder", async () => {
  const folder = fixture("tiny-gpt2");
  const names = readdirSync(folder);
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
  const { hub, requests } = await startHub(() => files);
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HUB_CACHE", hub.cache);
  const task = ["--task", fixture("tiny-task/task.json"), "--data", fixture("tiny-task/test.jsonl"), "--json"];
  const wanted = await softpost("evaluate", "--model", folder, ...task);
  const first = await softpost("evaluate", "--model", "org/tiny@v1.0", ...task);
  expect(first.code, first.stderr).toBe(0);
  expect(first.stdout).toBe(wanted.stdout);
  expect(first.stderr).toMatch(/download of org\/tiny: [\d.]+ [kM]B/);
  // PEFT's adapter of another hub model of the same width, layers and heads.
  const adapter = temporaryFolder();
  cpSync(fixture("tiny-prompt"), adapter, { recursive: true });
  const path = join(adapter, "adapter_config.json");
  writeFileSync(
    path,
    readFileSync(path, "utf8").replace(/"base_model_name_or_path": "[^"]*"/, '"base_model_name_or_path": "org/other"'),
  );
  const other = await softpost("evaluate", "--model", "org/tiny@v1.0", "--prompt", adapter, ...task);
  expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/tuned on "org\/other".*used on org\/tiny\./)]);
  const before = requests.length;
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  expect(await softpost("evaluate", "--model", "org/tiny@v1.0", ...task)).toMatchObject({ stdout: wanted.stdout });
  expect(requests.length).toBe(before);
});

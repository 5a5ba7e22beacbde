/** A run's state, as a program names it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { distill } from "../../client/local/distill.ts";
import { openModel } from "../../client/local/model.ts";
import { loadPrompt } from "../../client/local/prompt.ts";
import { transfer } from "../../client/local/transfer.ts";
import { tune } from "../../client/local/tune.ts";
import { chargedData } from "../../client/privacy-ledger.ts";
import { InterruptedError } from "../../shared/training/loop.ts";
import { fixture } from "../helpers/fixtures.ts";
import { rejection } from "../helpers/problem.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

afterEach(() => vi.unstubAllEnvs());

const train = fixture("tiny-task/train.jsonl");
const charges = () => chargedData().flatMap(({ entries }) => entries).length;

/** Tunes privately; stops after a step. */
async function tuned(state: string, { resume = false, stopAfter = 99 } = {}) {
  const stop = new AbortController();
  const options = { model: await openModel(fixture("tiny-gpt2")), task: fixture("tiny-task/task.json"), train };
  const run = { noiseMultiplier: 2, delta: 0.01, steps: 4, batchSize: 4, promptTokens: 2, threads: 1 };
  return tune(
    { ...options, ...run, state, resume },
    {
      signal: stop.signal,
      onEvent: (event) => {
        if (event.kind === "progress" && event.done === stopAfter) stop.abort();
      },
    },
  );
}

test("an unfinished private run is neither overwritten nor charged again by a new one", async () => {
  const folder = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", folder);
  const state = join(folder, "state");
  await expect(tuned(state, { stopAfter: 2 })).rejects.toThrow(InterruptedError);
  const kept = readFileSync(state);
  expect(await rejection(tuned(state))).toMatch(
    /is the state of an unfinished run\. Go on with resume: true, or remove it/,
  );
  expect(readFileSync(state)).toEqual(kept);
  expect(charges()).toBe(1);
  expect((await tuned(state, { resume: true })).total?.runs).toBe(1);
  expect(existsSync(state)).toBe(false);
});

test("transfer and distill overwrite none, either", async () => {
  const folder = temporaryFolder();
  const model = await openModel(fixture("tiny-gpt2"));
  const state = join(folder, ".out.unfinished");
  writeFileSync(state, "a state");
  const prompt = await loadPrompt(fixture("tiny-prompt"), model);
  const moved = transfer({ target: model, student: model, prompt, public: [train, train], state });
  expect(await rejection(moved)).toMatch(/is the state of an unfinished run/);
  const made = distill({ target: model, public: [train], out: join(folder, "out") });
  expect(await rejection(made)).toMatch(/is the state of an unfinished run/);
  expect(readFileSync(state, "utf8")).toBe("a state");
});

/** A run's state, as a program names it. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { distill } from "../../client/local/distill.ts";
import { openModel } from "../../client/local/model.ts";
import { loadPrompt } from "../../client/local/prompt.ts";
import { transfer } from "../../client/local/transfer.ts";
import { tune } from "../../client/local/tune.ts";
import { chargedData, finishRun } from "../../client/privacy-ledger.ts";
import { keptRunId } from "../../client/run-id.ts";
import { InterruptedError } from "../../shared/training/loop.ts";
import { fixture } from "../helpers/fixtures.ts";
import { rejection } from "../helpers/problem.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

afterEach(() => vi.unstubAllEnvs());

const train = fixture("tiny-task/train.jsonl");
const charges = () => chargedData().flatMap(({ entries }) => entries).length;

/** Tunes privately; stops after a step, or does something there. */
async function tuned(
  state: string,
  { resume = false, stopAfter = 99, say = (_: string) => {}, meanwhile = () => {} } = {},
) {
  const stop = new AbortController();
  const options = { model: await openModel(fixture("tiny-gpt2")), task: fixture("tiny-task/task.json"), train };
  const run = { noiseMultiplier: 2, delta: 0.01, steps: 4, batchSize: 4, promptTokens: 2, threads: 1 };
  return tune(
    { ...options, ...run, state, resume },
    {
      signal: stop.signal,
      onEvent: (event) => {
        if (event.kind === "progress" && event.done === stopAfter) stop.abort();
        if (event.kind === "progress" && event.done === 3) meanwhile();
        if (event.kind === "note") say(event.text);
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

/** A private run of 4 steps that was stopped after 2. */
async function unfinished(): Promise<string> {
  const folder = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", folder);
  const state = join(folder, "state");
  await expect(tuned(state, { stopAfter: 2 })).rejects.toThrow(InterruptedError);
  return state;
}

test("a run that is finished while its copy goes on has one result for one charge", async () => {
  const state = await unfinished();
  const id = keptRunId(state)!;
  let marking: Promise<boolean> | undefined;
  const meanwhile = () => {
    marking = finishRun(id);
  };
  expect(await rejection(tuned(state, { resume: true, meanwhile }))).toMatch(/can't be finished.*copy.*Resume the run/);
  expect(await marking).toBe(true);
  const notes: string[] = [];
  const { total } = await tuned(state, { resume: true, say: (text) => notes.push(text) });
  expect(total!.runs).toBe(2);
  expect(notes.join("\n")).toMatch(/as a new run: the one that goes on was finished before/);
});

test.each(["", "not a name", undefined])(
  "a run whose name is %j goes on as another, and the ledger stays readable",
  async (name) => {
    const state = await unfinished();
    if (name === undefined) rmSync(`${state}.run-id`);
    else writeFileSync(`${state}.run-id`, name);
    const notes: string[] = [];
    const { total } = await tuned(state, { resume: true, say: (text) => notes.push(text) });
    expect(total!.runs).toBe(2);
    expect(notes.join("\n")).toMatch(
      /as a new run: the name of the one that goes on, beside its state, is missing or damaged/,
    );
    expect(charges()).toBe(2);
  },
);

test("there is no result of a run whose name went while it ran", async () => {
  const state = await unfinished();
  const meanwhile = () => rmSync(`${state}.run-id`);
  expect(await rejection(tuned(state, { resume: true, meanwhile }))).toMatch(/can't be finished.*is gone/);
});

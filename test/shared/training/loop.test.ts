import { expect, test } from "vitest";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import type { TrainingEvent } from "../../../shared/training/events.ts";
import { InterruptedError, runSteps } from "../../../shared/training/loop.ts";

/** Four steps, each of them saved where that works, and what was told of it. */
async function run(save: (done: number) => Promise<void>, { stopAfter = 99, done = 0 } = {}) {
  const events: TrainingEvent[] = [];
  const stop = new AbortController();
  const step = async (index: number) => {
    if (index + 1 === stopAfter) stop.abort();
    return 1;
  };
  const watch = { signal: stop.signal, saveEvery: 0, onEvent: (event: TrainingEvent) => void events.push(event) };
  const error = await runSteps({ name: "x", done, total: 4, step, save }, watch).catch((cause) => cause);
  return { error, notes: events.flatMap((event) => (event.kind === "note" ? [event.text] : [])), events };
}

const full = () => new ProblemError("The run can't be saved", "state can't be written (ENOSPC): the disk is full.");

test("a state that can't be saved is said once and ends no run", async () => {
  const { error, notes, events } = await run(async (done) => {
    if (done !== 3) throw full();
  });
  expect(error).toBeUndefined();
  expect(notes).toEqual([
    "The run can't be saved: state can't be written (ENOSPC): the disk is full. The run goes on, and is saved again when that can be done.",
  ]);
  expect(events.filter(({ kind }) => kind === "checkpoint")).toEqual([{ kind: "checkpoint", step: 3 }]);
});

test("a run that is stopped says the last step that was saved", async () => {
  const saving = async (done: number) => {
    if (done > 1) throw full();
  };
  const { error } = await run(saving, { stopAfter: 3 });
  expect(error).toBeInstanceOf(InterruptedError);
  expect(error.step).toBe(1);
  expect((await run(saving, { stopAfter: 3, done: 2 })).error.step).toBe(2);
});

test("what isn't the disk's fault ends the run", async () => {
  const { error } = await run(async () => {
    throw new RangeError("a bug");
  });
  expect(error).toBeInstanceOf(RangeError);
});

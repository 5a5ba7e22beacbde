/** The display of progress on a real pseudo-terminal: narrow, wide, resized, dumb. */
import { rmSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fixture } from "../helpers/fixtures.ts";
import { holding } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";
import { Terminal } from "../helpers/terminal.ts";

const inputs = ["--model", fixture("tiny-gpt2"), "--task", fixture("tiny-task/task.json")];
const tune = ["tune", ...inputs, "--train", fixture("tiny-task/train.jsonl"), "--prompt-tokens", "2", "--steps", "6"];

/** Tuning that is held before its fourth step, and goes on when the file is removed. */
function heldTuning(columns: number, environment: Readonly<Record<string, string>> = {}) {
  const hold = temporaryFile("hold", "3");
  const folder = temporaryFolder();
  const options = { folder, columns, environment: { ...holding(hold), ...environment } };
  return { terminal: new Terminal([...tune, "--out", "out"], options), hold, folder };
}

describe.each([40, 60, 80, 200])("on %i columns", (columns) => {
  test("no line of progress is broken, and the last one says what was done", async () => {
    const { terminal, hold } = heldTuning(columns);
    await terminal.sees(/Held by the test/);
    rmSync(hold);
    expect(await terminal.ended).toBe(0);
    const lines = await terminal.lines();
    const progress = lines.filter((line) => /^tuning/.test(line));
    expect(progress).toEqual([expect.stringMatching(/^tuning: 6 steps( in \ds)? · loss [\d.]+$/)]);
    expect(progress[0]!.length).toBeLessThan(columns);
  });
});

test.each([
  [200, 40],
  [40, 120],
])("resized from %i to %i columns nothing of the old line stays", async (from, to) => {
  const { terminal, hold } = heldTuning(from);
  await terminal.sees(/Held by the test/);
  await terminal.resize(to);
  rmSync(hold);
  expect(await terminal.ended).toBe(0);
  const text = (await terminal.lines()).join("\n");
  expect(text.match(/tuning/g)).toEqual(["tuning"]);
  expect(text).not.toMatch(/█|░/);
});

test("Ctrl-C is not written over the bar", async () => {
  const { terminal } = heldTuning(80);
  await terminal.sees(/Held by the test/);
  terminal.type("\u0003");
  expect(await terminal.ended).toBe(130);
  expect((await terminal.lines()).at(-1)).toMatch(/^Stopped after step 4, which is saved\./);
});

test.each<[string, Record<string, string>]>([
  ["a dumb terminal", { TERM: "dumb" }],
  ["NO_COLOR", { NO_COLOR: "1" }],
])("%s gets lines without blocks and cursor moves", async (_, environment) => {
  const { terminal, hold } = heldTuning(80, environment);
  await terminal.sees(/Held by the test/);
  rmSync(hold);
  expect(await terminal.ended).toBe(0);
  const written = terminal.raw.replace("\u001b]0;Held by the test.\u0007", "").replaceAll("\r\n", "\n");
  for (const sign of ["\u001b", "\r", "█", "░"]) expect(written).not.toContain(sign);
  expect(written).toMatch(/\ntuning: 6 steps\n/);
});

import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import { showProgress } from "../../client/progress.ts";
import { Screen } from "../helpers/screen.ts";

/** A stderr that isn't a terminal, and a clock that is set by hand. */
function setUp(stderr: { isTTY?: boolean } = {}, environment: NodeJS.ProcessEnv = {}) {
  let written = "";
  let time = 0;
  const sink = { ...stderr, write: (text: string) => (written += text) };
  const progress = showProgress(sink, () => time, environment);
  const at = (seconds: number, done: number, loss?: number) => {
    time = seconds * 1000;
    progress.onEvent({ kind: "progress", done, ...(loss !== undefined && { loss }) });
  };
  return { progress, at, lines: () => written.split("\n").slice(0, -1) };
}

describe.each<[string, { isTTY?: boolean }, NodeJS.ProcessEnv]>([
  ["without a terminal", {}, {}],
  ["on a dumb one", { isTTY: true }, { TERM: "dumb" }],
  ["with NO_COLOR", { isTTY: true }, { TERM: "xterm", NO_COLOR: "1" }],
])("%s", (_, stderr, environment) => {
  test("there is a line at the start, at most one every ten seconds, and one at the end of what was begun", () => {
    const { progress, at, lines } = setUp(stderr, environment);
    progress.onEvent({ kind: "phase", name: "tuning", total: 100, unit: "steps" });
    at(1, 1, 0.9);
    at(9, 9, 0.8);
    at(11, 11, 0.7);
    at(12, 12, 0.65);
    progress.onEvent({ kind: "note", text: "a note" });
    at(20, 100, 0.5);
    progress.onEvent({ kind: "phase", name: "evaluating", total: 4, unit: "texts" });
    at(20.5, 4);
    progress.stop();
    expect(lines()).toEqual([
      "tuning: 100 steps",
      "tuning: 11/100 steps · 1m38s left · loss 0.7000 · 0.909/s",
      "a note",
      "tuning: 100 steps in 20s · loss 0.5000",
    ]);
  });
});

test("work of an earlier run does not count for the rate", () => {
  const { progress, at, lines } = setUp();
  progress.onEvent({ kind: "phase", name: "tuning", total: 10_000, unit: "steps" });
  at(1, 9001);
  at(10, 9011);
  expect(lines().at(-1)).toBe("tuning: 9011/10000 steps · 16m29s left · 1.00/s");
});

test("bytes are told in units that people read", () => {
  const { progress, at, lines } = setUp();
  progress.onEvent({ kind: "phase", name: "download", total: 2_500_000_000, unit: "bytes" });
  at(1, 500_000);
  at(12, 24_500_000);
  progress.stop();
  expect(lines()).toEqual([
    "download: 2.5 GB",
    "download: 24.5 MB/2.5 GB · 20m38s left · 2.0 MB/s",
    "download: 24.5 MB/2.5 GB in 12s",
  ]);
});

/** A terminal of so many columns with a display of progress on it, 94 of 188 steps in. */
async function onTerminal(columns: number) {
  const screen = new Screen(columns, 12);
  let time = 0;
  const stderr = Object.assign(new EventEmitter(), {
    isTTY: true,
    columns,
    write: (text: string) => screen.write(text),
  });
  const progress = showProgress(stderr, () => time, { TERM: "xterm" });
  screen.write("before\r\n");
  progress.onEvent({ kind: "phase", name: "tuning", total: 188, unit: "steps" });
  const at = (seconds: number, done: number) => {
    time = 1000 * seconds;
    progress.onEvent({ kind: "progress", done, loss: 0.5351 });
  };
  at(1, 1);
  at(94, 94);
  const resize = async (to: number) => {
    stderr.columns = to;
    await screen.resize(to);
    stderr.emit("resize");
  };
  return { screen, progress, at, resize, stderr };
}

describe("on a terminal", () => {
  test.each([
    [40, "tuning: 94/188 steps · 1m36s left"],
    [60, "tuning: 94/188 steps · 1m36s left · loss 0.5351 · 0.989/s"],
    [80, "tuning ██████░░░░░░ 94/188 steps · 1m36s left · loss 0.5351 · 0.989/s"],
    [200, "tuning ████████████░░░░░░░░░░░░ 94/188 steps · 1m36s left · loss 0.5351 · 0.989/s"],
  ])("of %i columns the figures are kept and the bar is what goes", async (columns, line) => {
    const { screen } = await onTerminal(columns);
    expect(await screen.lines()).toEqual(["before", line]);
  });

  test.each([
    [200, 40],
    [80, 60],
    [60, 200],
    [40, 80],
    [200, 25],
  ])("from %i to %i columns nothing of the old line stays", async (from, to) => {
    const { screen, resize, at } = await onTerminal(from);
    await resize(to);
    at(95, 95);
    const lines = await screen.lines();
    expect(lines.length).toBe(2);
    expect(lines[0]).toBe("before");
    expect(lines[1]).toMatch(/^tuning[: ]/);
    expect(lines[1]!.length).toBeLessThan(to);
  });

  test("rows of a result stand above the line, whole, and it comes back behind them", async () => {
    const { screen, progress, at } = await onTerminal(80);
    for (const row of ["one", "two"]) {
      progress.makeRoom();
      screen.write(`${row}\r\n`);
    }
    expect(await screen.lines()).toEqual(["before", "one", "two"]);
    at(95, 95);
    expect((await screen.lines()).slice(0, -1)).toEqual(["before", "one", "two"]);
    expect((await screen.lines()).at(-1)).toMatch(/^tuning .* 95\/188 steps/);
  });

  test("a note stands above the line, a finished phase says so, and the next one has its own line", async () => {
    const { screen, progress, at } = await onTerminal(80);
    progress.onEvent({ kind: "note", text: "2 texts were shortened" });
    at(188, 188);
    progress.onEvent({ kind: "phase", name: "evaluating", total: 1, unit: "texts" });
    progress.onEvent({ kind: "progress", done: 1 });
    progress.stop();
    expect(await screen.lines()).toEqual([
      "before",
      "2 texts were shortened",
      "tuning: 188 steps in 3m08s · loss 0.5351",
      "evaluating: 1 text",
    ]);
  });

  test("nobody listens to its size when it has ended", async () => {
    const { progress, stderr } = await onTerminal(80);
    progress.stop();
    expect(stderr.listenerCount("resize")).toBe(0);
  });
});

import { expect, test } from "vitest";
import { showProgress } from "../../client/progress.ts";

/** A stderr that isn't a terminal, and a clock that is set by hand. */
function setUp() {
  let written = "";
  let time = 0;
  const stderr = { write: (text: string) => (written += text) };
  const progress = showProgress(stderr, () => time);
  const at = (seconds: number, done: number, loss?: number) => {
    time = seconds * 1000;
    progress.onEvent({ kind: "progress", done, ...(loss !== undefined && { loss }) });
  };
  return { progress, at, lines: () => written.split("\n").slice(0, -1) };
}

test("without a terminal there is a line at the start, one every ten seconds, and one at the end", () => {
  const { progress, at, lines } = setUp();
  progress.onEvent({ kind: "phase", name: "tuning", total: 100, unit: "steps" });
  at(1, 1, 0.9);
  at(9, 9, 0.8);
  at(11, 11, 0.7);
  at(12, 12, 0.65);
  progress.onEvent({ kind: "note", text: "a note" });
  progress.onEvent({ kind: "phase", name: "evaluation", total: 4, unit: "examples" });
  at(13, 4);
  progress.stop();
  expect(lines()).toEqual([
    "tuning: 100 steps",
    "tuning: 11/100 steps · 0.909/s · 1m38s left · loss 0.7000",
    "a note",
    "tuning: 12/100 steps · 0.917/s · 1m36s left · loss 0.6500",
    "evaluation: 4 examples",
    "evaluation: 4/4 examples",
  ]);
});

test("work of an earlier run does not count for the rate", () => {
  const { progress, at, lines } = setUp();
  progress.onEvent({ kind: "phase", name: "tuning", total: 10_000, unit: "steps" });
  at(1, 9001);
  at(10, 9011);
  expect(lines().at(-1)).toBe("tuning: 9011/10000 steps · 1.00/s · 16m29s left");
});

test("bytes are told in units that people read", () => {
  const { progress, at, lines } = setUp();
  progress.onEvent({ kind: "phase", name: "download", total: 2_500_000_000, unit: "bytes" });
  at(1, 500_000);
  at(12, 24_500_000);
  progress.stop();
  expect(lines()).toEqual(["download: 2.5 GB", "download: 24.5 MB/2.5 GB · 2.0 MB/s · 20m38s left"]);
});

test("a terminal gets a bar that ends on a line of its own", () => {
  let written = "";
  const stream = {
    isTTY: true,
    columns: 120,
    write: (text: string) => (written += text),
    cursorTo: () => {},
    moveCursor: () => {},
    clearLine: () => {},
    on: () => {},
    off: () => {},
    once: () => {},
  };
  const progress = showProgress(stream);
  progress.onEvent({ kind: "phase", name: "tuning", total: 10, unit: "steps" });
  progress.onEvent({ kind: "progress", done: 10, loss: 0.5 });
  progress.stop();
  expect(written).toContain("tuning █");
  expect(written).toMatch(/10\/10 steps.* · loss 0\.5000/);
  expect(written.endsWith("\n")).toBe(true);
});

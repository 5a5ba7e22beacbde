import { mkdtemp, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openMetrics } from "../../client/metrics.ts";

test("every loss is a line with its phase and step, in order, after what the file had", async () => {
  const path = join(await mkdtemp(join(tmpdir(), "metrics-")), "metrics.jsonl");
  for (const phase of ["one", "two"]) {
    const metrics = openMetrics(path);
    metrics.onEvent({ kind: "phase", name: phase, total: 120, unit: "steps" });
    for (let done = 1; done <= 120; done++) metrics.onEvent({ kind: "progress", done, loss: done / 8 });
    metrics.onEvent({ kind: "progress", done: 120 });
    metrics.onEvent({ kind: "note", text: "no loss" });
    metrics.close();
  }
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  const expected = ["one", "two"].flatMap((phase) =>
    Array.from({ length: 120 }, (_, i) => ({ phase, step: i + 1, loss: (i + 1) / 8 })),
  );
  expect(lines.map((line) => JSON.parse(line))).toEqual(expected);
});

test("a file that can't be written is a problem at once", () => {
  const message = "--metrics /nowhere/metrics.jsonl can't be written (ENOENT)";
  expect(() => openMetrics("/nowhere/metrics.jsonl")).toThrow(message);
});

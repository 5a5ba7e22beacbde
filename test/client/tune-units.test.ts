/** `softpost tune --privacy-unit`: what it makes, and what it refuses before anything is charged. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { chargedData } from "../../client/privacy-ledger.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", folder);
});

afterEach(() => vi.unstubAllEnvs());

const rowsOf = (users: readonly unknown[]) =>
  temporaryFile(
    "rows.jsonl",
    users.map((user, i) => JSON.stringify({ text: `film ${i}`, label: i % 2, user })).join("\n"),
  );

const tune = (rows: string, ...more: string[]) =>
  softpost(
    ...["tune", "--model", fixture("tiny-gpt2"), "--task", fixture("tiny-task/task.json"), "--prompt-tokens", "2"],
    ...["--train", rows, "--steps", "3", "--batch-size", "2", "--noise-multiplier", "2", "--delta", "0.01"],
    ...["--out", join(folder, "out"), "--privacy-unit", "user", ...more],
  );

test("protects all rows of a user: the manifest, the ledger and what is printed say so", async () => {
  const { code, stderr } = await tune(rowsOf(["ann", "ann", "ann", "bob", "cy", "cy", 7, "7"]), "--rows-per-unit", "2");
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/all rows of one user/);
  const { privacy } = JSON.parse(readFileSync(join(folder, "out", "softpost.json"), "utf8"));
  // Four users, of whom two are drawn a step.
  expect(privacy).toMatchObject({ records: 4, sampleRate: 0.5, unit: { field: "user", rowsPerUnit: 2 } });
  expect(chargedData()[0]!.entries).toHaveLength(1);
  const shown = await softpost("privacy", "explain", join(folder, "out"));
  expect(shown.stdout).toMatch(/all rows of one user/);
});

test.each<[string, readonly unknown[], readonly string[], RegExp]>([
  ["a row without the field", ["ann", undefined, "bob"], [], /:2: Has no "user"/],
  ["a field that is an object", ["ann", { name: "bob" }, "bob"], [], /:2: .*neither a string nor a number/],
  ["one unit only", ["ann", "ann", "ann"], [], /one unit|two|only/i],
  ["no rows a unit", ["ann", "bob"], ["--rows-per-unit", "0"], /whole number/],
])("%s is refused, and nothing is charged", async (_, users, more, message) => {
  const { code, stderr } = await tune(rowsOf(users), ...more);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(message);
  expect(chargedData()).toEqual([]);
  expect(existsSync(join(folder, "out"))).toBe(false);
});

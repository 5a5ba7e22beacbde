import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { forgetRunId, keptRunId, runIdOf } from "../../client/run-id.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("a resumed run has the name that it began with, a new one another", () => {
  const folder = temporaryFolder();
  const state = join(folder, ".out.unfinished");
  expect(keptRunId(state)).toBeUndefined();
  const name = runIdOf(state, false);
  expect(runIdOf(state, true)).toBe(name);
  expect(runIdOf(state, false)).not.toBe(name);
  expect(readdirSync(folder)).toEqual([".out.unfinished.run-id"]);
  expect(statSync(`${state}.run-id`).mode & 0o777).toBe(0o600);
  forgetRunId(state);
  expect(readdirSync(folder)).toEqual([]);
});

test.each(["", "0", "kept", "\0".repeat(36)])("%j is no name, so the run gets a new one", (text) => {
  const state = join(temporaryFolder(), ".out.unfinished");
  writeFileSync(`${state}.run-id`, text);
  expect(keptRunId(state)).toBeUndefined();
  const name = runIdOf(state, true);
  expect(name).toMatch(/^[0-9a-f-]{36}$/);
  expect(runIdOf(state, true)).toBe(name);
});

test("a name that can't be kept is a problem", () => {
  expect(() => runIdOf("/nowhere/state", false)).toThrow(/name can't be kept: .*run-id can't be written \(ENOENT\)/);
});

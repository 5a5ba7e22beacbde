import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openOut } from "../../client/out-folder.ts";
import { rejection } from "../helpers/problem.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("the folder appears whole, and the run's state goes", async () => {
  const parent = temporaryFolder();
  const path = join(parent, "a", "out");
  const out = await openOut(path, {});
  writeFileSync(out.statePath, "state");
  writeFileSync(`${out.statePath}.tmp`, "half a state");
  await out.finish(async (folder) => {
    await writeFile(join(folder, "one"), "1");
    expect(existsSync(path)).toBe(false);
  });
  expect(readdirSync(path)).toEqual(["one"]);
  expect(readdirSync(join(parent, "a"))).toEqual(["out"]);
});

test("if writing fails nothing is left but the run's state", async () => {
  const parent = temporaryFolder();
  const out = await openOut(join(parent, "out"), {});
  writeFileSync(out.statePath, "state");
  const failing = out.finish(async (folder) => {
    await writeFile(join(folder, "one"), "1");
    throw new Error("no space");
  });
  await expect(failing).rejects.toThrow("no space");
  expect(readdirSync(parent)).toEqual([".out.unfinished"]);
});

test("a folder that holds something is refused, an empty one is taken", async () => {
  const path = join(temporaryFolder(), "out");
  mkdirSync(path);
  await (await openOut(path, {})).finish((folder) => writeFile(join(folder, "one"), "1"));
  expect(await rejection(openOut(path, {}))).toMatch(/is there already/);
  expect(await rejection(openOut(path, { resume: true }))).toMatch(/nothing to resume/);
  expect(await rejection(openOut(join(path, "one"), {}))).toMatch(/can't be used \(ENOTDIR\)/);
});

test("an unfinished run is not overwritten by a new one", async () => {
  const path = join(temporaryFolder(), "out");
  const { statePath } = await openOut(path, {});
  writeFileSync(statePath, "state");
  expect(await rejection(openOut(path, {}))).toMatch(/state of an unfinished run\. Go on with --resume/);
  expect((await openOut(path, { resume: true })).statePath).toBe(statePath);
});

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openOut } from "../../client/out-folder.ts";
import { rejection } from "../helpers/problem.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const failing = (code: string) => Object.assign(new Error(`${code}: write`), { code, syscall: "write" });

test("the folder appears whole, and the run's state goes", async () => {
  const parent = temporaryFolder();
  const path = join(parent, "a", "out");
  {
    using out = await openOut(path, {});
    writeFileSync(out.statePath, "state");
    writeFileSync(`${out.statePath}.tmp`, "half a state");
    const written = await out.finish(async (folder) => {
      await writeFile(join(folder, "one"), "1");
      expect(existsSync(path)).toBe(false);
    });
    expect(written).toBe(path);
  }
  expect(readdirSync(path)).toEqual(["one"]);
  expect(readdirSync(join(parent, "a"))).toEqual(["out"]);
});

test("if writing fails nothing is left but the run's state", async () => {
  const parent = temporaryFolder();
  {
    using out = await openOut(join(parent, "out"), {});
    writeFileSync(out.statePath, "state");
    const unwritten = out.finish(async (folder) => {
      await writeFile(join(folder, "one"), "1");
      throw new Error("no space");
    });
    await expect(unwritten).rejects.toThrow("no space");
  }
  expect(readdirSync(parent)).toEqual([".out.unfinished"]);
});

test("a disk that refuses the result is a problem with its name, what to do and what is kept", async () => {
  const path = join(temporaryFolder(), "out");
  using out = await openOut(path, {});
  const refused = (code: string) =>
    rejection(
      out.finish(async () => {
        throw failing(code);
      }),
    );
  expect(await refused("ENOSPC")).toMatch(/out can't be written \(ENOSPC\): the disk is full; free some space\.$/);
  expect(await refused("EFBIG")).toMatch(/\(EFBIG\).*ulimit -f/);
  writeFileSync(`${out.statePath}.run-id`, "id");
  expect(await refused("EIO")).toMatch(/--resume does the run again and charges nothing more/);
  writeFileSync(out.statePath, "state");
  expect(await refused("EDQUOT")).toMatch(/state is kept: the same command with --resume goes on from there/);
});

test("a folder that holds something is refused, an empty one is taken", async () => {
  const path = join(temporaryFolder(), "out");
  mkdirSync(path);
  {
    using out = await openOut(path, {});
    await out.finish((folder) => writeFile(join(folder, "one"), "1"));
  }
  expect(await rejection(openOut(path, {}))).toMatch(/is there already/);
  expect(await rejection(openOut(path, { resume: true }))).toMatch(/nothing to resume/);
  expect(await rejection(openOut(join(path, "one"), {}))).toMatch(/can't be used \(ENOTDIR\)/);
});

test("an unfinished run is not overwritten by a new one", async () => {
  const path = join(temporaryFolder(), "out");
  const first = await openOut(path, {});
  writeFileSync(first.statePath, "state");
  first[Symbol.dispose]();
  expect(await rejection(openOut(path, {}))).toMatch(/state of an unfinished run\. Go on with --resume/);
  using again = await openOut(path, { resume: true });
  expect(again.statePath).toBe(first.statePath);
});

test("a place where a run is under way is refused, and free when that has ended however it did", async () => {
  const path = join(temporaryFolder(), "out");
  {
    using _ = await openOut(path, {});
    expect(await rejection(openOut(path, { resume: true }))).toMatch(/This process works on --out .*out already/);
  }
  const lock = join(dirname(path), `.${basename(path)}.lock`);
  const other = spawn("sleep", ["60"]);
  onTestFinished(() => void other.kill());
  await once(other, "spawn");
  writeFileSync(lock, String(other.pid));
  expect(await rejection(openOut(path, {}))).toContain(`Another process (${other.pid}) works on`);
  other.kill("SIGKILL");
  await once(other, "exit");
  (await openOut(path, {}))[Symbol.dispose]();
  // In containers every process may have this id.
  writeFileSync(lock, String(process.pid));
  (await openOut(path, {}))[Symbol.dispose]();
  expect(readdirSync(dirname(path))).toEqual([]);
});

test("a result whose place was taken all the same gets a free name, which is said", async () => {
  const parent = temporaryFolder();
  const path = join(parent, "out");
  using out = await openOut(path, {});
  mkdirSync(path);
  writeFileSync(join(path, "other's"), "");
  const write = (folder: string) => writeFile(join(folder, "one"), "1");
  expect(await rejection(out.finish(write))).toMatch(/can't be written \(ENOTEMPTY\)/);
  const said: string[] = [];
  expect(await out.finish(write, (text) => said.push(text))).toBe(`${path}-2`);
  expect(readFileSync(join(`${path}-2`, "one"), "utf8")).toBe("1");
  expect(readdirSync(path)).toEqual(["other's"]);
  expect(said).toEqual([`${path} was taken while this ran. The result is in ${path}-2.`]);
});

import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { partialFolder } from "../../../shared/data/partial-folder.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const HOST = hostname().replaceAll(/[^A-Za-z0-9.]/g, "_");
const UUID = "01234567-89ab-cdef-0123-456789abcdef";

test("what processes left that are dead goes, and nothing else", async () => {
  const parent = temporaryFolder();
  const { stdout: dead } = await promisify(execFile)(process.execPath, ["-p", "process.pid"]);
  const folder = (name: string, hoursOld = 0) => {
    mkdirSync(join(parent, name));
    const file = join(parent, name, "part");
    writeFileSync(file, "");
    const then = Date.now() / 1000 - hoursOld * 3600;
    for (const path of [file, join(parent, name)]) utimesSync(path, then, then);
    return name;
  };
  folder(`.out.writing-${HOST}-${dead.trim()}-${UUID}`);
  folder(`.out.writing-${HOST}-${process.pid}-${UUID}`);
  folder(`.out.writing-elsewhere-1-${UUID}`, 25);
  const stay = [
    folder(`.out.writing-elsewhere-2-${UUID}`, 23),
    folder(`.out.writing-${HOST}-${process.ppid}-${UUID}`),
    folder(`.out.writing-${HOST}-${dead.trim()}`, 99),
    folder(`.other.writing-${HOST}-${dead.trim()}-${UUID}`, 99),
    folder("out.writing", 99),
  ];
  {
    await using first = await partialFolder(parent, ".out");
    await using second = await partialFolder(parent, ".out");
    const own = [first, second].map(({ path }) => path.slice(parent.length + 1));
    expect(readdirSync(parent).sort()).toEqual([...stay, ...own].sort());
  }
  expect(readdirSync(parent).sort()).toEqual(stay.sort());
});

test("a process that ends in the middle removes what it writes", async () => {
  const parent = temporaryFolder();
  const module = new URL("../../../shared/data/partial-folder.ts", import.meta.url);
  const program = `const { partialFolder } = await import(${JSON.stringify(module)});
    const { path } = await partialFolder(${JSON.stringify(parent)}, ".out");
    (await import("node:fs")).writeFileSync(path + "/part", "x");
    process.exit(0);`;
  await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
  expect(readdirSync(parent)).toEqual([]);
});

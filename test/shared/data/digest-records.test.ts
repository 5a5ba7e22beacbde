import {
  appendFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DigestRecords } from "../../../shared/data/digest-records.ts";
import { hashFile, hashModel } from "../../../shared/data/model-files.ts";
import { fixture } from "../../helpers/fixtures.ts";
import { softpostProcess } from "../../helpers/softpost.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const LONG_AGO = new Date("2026-01-01T00:00:00Z");

/** A file that was written long ago, with the records in another folder. */
function oldFile(content: string) {
  const [folder, home] = [temporaryFolder(), join(temporaryFolder(), "digests")];
  const path = join(folder, "file");
  writeFileSync(path, content);
  utimesSync(path, LONG_AGO, LONG_AGO);
  return { path, home, records: new DigestRecords(home) };
}

/** Makes the record of the one file say something else, so that it shows where a digest is from. */
function forge(home: string): void {
  const [name] = readdirSync(home);
  const record = JSON.parse(readFileSync(join(home, name!), "utf8"));
  writeFileSync(join(home, name!), JSON.stringify({ ...record, sha256: "0".repeat(64) }));
}

test("a file that has not changed is not read again, unless that is asked for", async () => {
  const { path, home, records } = oldFile("weights");
  const hashed = await records.hash(path);
  expect(hashed).toEqual(await hashFile(path));
  forge(home);
  expect((await records.hash(path)).sha256).toBe("0".repeat(64));
  expect(await new DigestRecords(home, { verify: true }).hash(path)).toEqual(hashed);
  // What was verified is recorded.
  expect(await records.hash(path)).toEqual(hashed);
});

test.each<[string, (path: string) => void]>([
  ["its content and size", (path) => appendFileSync(path, "more")],
  [
    "its content, with its size and time set back",
    (path) => {
      const { atime, mtime } = statSync(path);
      writeFileSync(path, "WEIGHTS");
      utimesSync(path, atime, mtime);
    },
  ],
  [
    "the file, by another of the same size and time",
    (path) => {
      writeFileSync(`${path}.new`, "WEIGHTS");
      utimesSync(`${path}.new`, LONG_AGO, LONG_AGO);
      renameSync(`${path}.new`, path);
    },
  ],
])("whoever changes %s makes it be read again", async (_, change) => {
  const { path, records } = oldFile("weights");
  const before = await records.hash(path);
  change(path);
  expect(await records.hash(path)).toEqual(await hashFile(path));
  expect(await records.hash(path)).not.toEqual(before);
});

test("a file that was written a moment ago is not recorded: it may change within the clock's tick", async () => {
  const { path, home, records } = oldFile("weights");
  utimesSync(path, new Date(), new Date());
  await records.hash(path);
  expect(() => readdirSync(home)).toThrow(/ENOENT/);
});

test.each(["{", '{"identity":1}', ""])("a record that isn't one counts for nothing: %s", async (text) => {
  const { path, home, records } = oldFile("weights");
  await records.hash(path);
  writeFileSync(join(home, readdirSync(home)[0]!), text);
  expect(await records.hash(path)).toEqual(await hashFile(path));
});

test("a digest that lies in the model's folder is not believed", async () => {
  const folder = join(temporaryFolder(), "model");
  cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
  writeFileSync(join(folder, "digests.json"), JSON.stringify({ "model.safetensors": "0".repeat(64) }));
  const records = new DigestRecords(join(temporaryFolder(), "digests"));
  expect(await hashModel(folder, records.hash)).toEqual(await hashModel(folder));
});

test("a home that can't be written costs nothing but time", async () => {
  const { path } = oldFile("weights");
  const file = join(temporaryFolder(), "home");
  writeFileSync(file, "not a folder");
  expect(await new DigestRecords(join(file, "digests")).hash(path)).toEqual(await hashFile(path));
});

// /proc is Linux's.
test.skipIf(process.platform !== "linux")("a second start of a command reads a model's headers only", async () => {
  const folder = join(temporaryFolder(), "model");
  cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
  // Large enough to be told from all else that Node reads: bytes that no tensor uses, in a file that counts as the model's.
  const ballast = join(folder, "ballast.safetensors");
  writeFileSync(ballast, Buffer.alloc(200_000_000));
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), LONG_AGO, LONG_AGO);
  const program = new URL("../../helpers/bytes-read.ts", import.meta.url).pathname;
  const run = () => bytesRead(program, folder, join(folder, "..", "home"));
  const [first, second] = [await run(), await run()];
  expect(first - second).toBeGreaterThan(195_000_000);
});

async function bytesRead(program: string, model: string, home: string): Promise<number> {
  const args = ["evaluate", "--model", model, "--task", fixture("tiny-task/task.json")];
  const { stdout, stderr } = await softpostProcess([...args, "--data", fixture("tiny-task/test.jsonl")], undefined, {
    SOFTPOST_HOME: home,
    NODE_OPTIONS: `--import ${program}`,
  });
  const bytes = Number(/read (\d+) bytes/.exec(stderr)?.[1]);
  if (!Number.isFinite(bytes)) throw new Error(stdout + stderr);
  return bytes;
}

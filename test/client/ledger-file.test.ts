/** A ledger on a disk that is full, and one without its key. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it, test } from "vitest";
import { appendLine } from "../../client/ledger-file.ts";
import { namedData, openLedger } from "../../client/privacy-ledger.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const run = { sampleRate: 0.01, noiseMultiplier: 1, steps: 500, delta: 1e-5 };
const open = (texts: readonly string[], folder: string, dataset?: string) =>
  openLedger({ texts, fileDigests: [], dataset }, folder);

/** Charges runs in a process whose files may have 1 024 bytes, as with a quota. @returns those that were charged, and what the others were told */
async function chargeWithLittleRoom(texts: readonly string[], folder: string, runs: number) {
  const code = `
    const { openLedger } = await import(${JSON.stringify(fileURLToPath(new URL("../../client/privacy-ledger.ts", import.meta.url)))});
    const charged = [], told = [];
    for (let i = 0; i < ${runs}; i++) {
      const ledger = await openLedger({ texts: ${JSON.stringify(texts)}, fileDigests: [], dataset: "name " + i }, ${JSON.stringify(folder)});
      await ledger.charge({ runId: "run-" + i, ...${JSON.stringify(run)} }).then(() => charged.push("run-" + i), (error) => told.push(error.name + " " + error.message));
    }
    console.log(JSON.stringify({ charged, told }));`;
  const limited = 'ulimit -f 1; exec "$0" --input-type=module-typescript -e "$1"';
  const { stdout } = await promisify(execFile)("bash", ["-c", limited, process.execPath, code]);
  return JSON.parse(stdout) as { charged: string[]; told: string[] };
}

describe("where files can't grow", () => {
  it("a charge is on the disk whole, or refused; what was there stays", async () => {
    const folder = temporaryFolder();
    const { charged, told } = await chargeWithLittleRoom(["a", "b"], folder, 12);
    expect(charged.length).toBeGreaterThan(2);
    expect(told.length).toBeGreaterThan(2);
    for (const message of told) expect(message).toMatch(/^ProblemError The privacy ledger can't be written: .*EFBIG/);
    const ledger = await open(["a", "b"], folder);
    expect(ledger.entries().map(({ runId }) => runId)).toEqual(charged);
    for (const file of readdirSync(folder).filter((name) => /jsonl|links/.test(name)))
      expect(readFileSync(join(folder, file), "utf8"), file).toMatch(/\n$/);
    await ledger.charge({ runId: "later", ...run });
    expect(ledger.entries().map(({ runId }) => runId)).toEqual([...charged, "later"]);
  });

  it("rows whose fingerprints can't be kept are charged nothing, and no part of them is left", async () => {
    const folder = temporaryFolder();
    const texts = Array.from({ length: 200 }, (_, i) => `row ${i}`);
    const { charged, told } = await chargeWithLittleRoom(texts, folder, 1);
    expect(charged).toEqual([]);
    expect(told[0]).toMatch(/\.rows can't be written \(EFBIG\)/);
    expect(readdirSync(folder)).toEqual(["key"]);
  });
});

test("a line goes behind the last complete one, whatever bytes that has", () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "file"), Buffer.concat([Buffer.of(0xff, 0xfe, 10), Buffer.from("torn")]));
  appendLine(folder, "file", "é");
  expect(readFileSync(join(folder, "file"))).toEqual(Buffer.concat([Buffer.of(0xff, 0xfe, 10), Buffer.from("é\n")]));
});

describe("a ledger whose key is missing", () => {
  it.each([/\.jsonl$/, /\.rows$/, /^links$/])("is refused, with no more than %s of it left", async (kept) => {
    const folder = temporaryFolder();
    await (await open(["a"], folder, "reviews")).charge({ runId: "a", ...run });
    const away = join(temporaryFolder(), "key");
    renameSync(join(folder, "key"), away);
    for (const name of readdirSync(folder)) if (!kept.test(name)) rmSync(join(folder, name));
    await expect(open(["a"], folder)).rejects.toThrow(/key is missing.*Restore it/);
    expect(() => namedData("reviews", folder)).toThrow(/key is missing.*Restore it/);
    expect(existsSync(join(folder, "key"))).toBe(false);
    renameSync(away, join(folder, "key"));
    await open(["a"], folder);
  });
});

import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withFileLock } from "../../client/file-lock.ts";
import {
  chargedData,
  finishedRuns,
  finishRun,
  type Ledger,
  namedData,
  openLedger,
} from "../../client/privacy-ledger.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const DATA = { texts: ["a private row", "another"], fileDigests: ["ab".repeat(32)] };
const run = (runId: string) => ({ runId, sampleRate: 0.01, noiseMultiplier: 1, steps: 500, delta: 1e-5 });
const names = (ledger: Ledger) => ledger.entries().map(({ runId }) => runId);
const open = (texts: readonly string[], folder: string, dataset?: string) =>
  openLedger({ texts, fileDigests: [], dataset }, folder);

describe("a data set", () => {
  it("is its different rows in any order, whatever their spaces and accents; its name is a keyed fingerprint", async () => {
    const [folder, elsewhere] = [temporaryFolder(), temporaryFolder()];
    const { name } = await open(["één", "b c"], folder);
    expect(name).toMatch(/^[0-9a-f]{32}$/);
    for (const same of [
      ["b c", "één"],
      ["b\r\nc ", "e\u0301e\u0301n", "b c"],
    ])
      expect((await open(same, folder)).name).toBe(name);
    for (const other of [["één"], ["één", "b", "c"], ["ÉÉN", "b c"]])
      expect((await open(other, folder)).name).not.toBe(name);
    expect((await open(["één", "b c"], elsewhere)).name).not.toBe(name);
    expect(statSync(join(folder, "key")).mode & 0o777).toBe(0o600);
  });

  it("counts together with others of the same name, in both directions and by way of others", async () => {
    const folder = temporaryFolder();
    await (await open(["1"], folder)).charge(run("a"));
    await (await open(["1", "2"], folder, "reviews")).charge(run("b"));
    expect(names(await open(["1", "2"], folder))).toEqual(["b"]);
    await (await open(["1"], folder, "reviews")).charge(run("c"));
    for (const texts of [["1"], ["1", "2"]]) expect(names(await open(texts, folder)).sort()).toEqual(["a", "b", "c"]);
    expect(names(await open(["1", "2", "3"], folder, "reviews")).length).toBe(3);
    expect(names(await open(["1", "2", "3"], folder)).length).toBe(0);
    // A name that the ledger shows is one too.
    expect(names(await open(["9"], folder, (await open(["1"], folder)).name)).length).toBe(3);
    expect(namedData("reviews", folder).entries.length).toBe(3);
    expect(chargedData(folder).map(({ entries }) => entries.length)).toEqual([3]);
    expect(() => namedData("others", folder)).toThrow(/No private run was charged as --dataset others/);
    expect(readdirSync(folder).join()).not.toContain("reviews");
  });

  it("never passes a budget by changing its form or its name", async () => {
    const forms = fc.array(
      fc.tuple(fc.shuffledSubarray(["x", "y", "z"], { minLength: 3 }), fc.boolean(), fc.boolean()),
    );
    await fc.assert(
      fc.asyncProperty(forms, async (runs) => {
        const folder = temporaryFolder();
        let charged = 0;
        for (const [i, [texts, twice, named]] of runs.entries()) {
          const rows = twice ? [...texts, ...texts] : texts;
          const ledger = await open(
            rows.map((text) => ` ${text}`),
            folder,
            named ? `name ${i}` : undefined,
          );
          await ledger.charge(run(String(i)), { epsilon: 1.5, delta: 1e-5 }).then(
            () => charged++,
            () => {},
          );
        }
        // One such run has epsilon 1.1 at this delta, two compose to 1.6.
        expect(charged).toBe(Math.min(1, runs.length));
      }),
      { numRuns: 15 },
    );
  });

  it("knows its rows in other data sets, by fingerprints alone", async () => {
    const folder = temporaryFolder();
    const texts = Array.from({ length: 12 }, (_, i) => `secret ${i}`);
    const first = await open(texts, folder);
    expect(first.overlap()).toEqual({ known: 0, most: false, others: [] });
    await first.charge(run("a"));
    expect(first.overlap().others).toEqual([]);
    const others = [{ name: first.name, runs: 1 }];
    expect((await open(texts.slice(1), folder)).overlap()).toEqual({ known: 11, most: true, others });
    const grown = [...texts, ...Array.from({ length: 100 }, (_, i) => `new ${i}`)];
    expect((await open(grown, folder)).overlap()).toEqual({ known: 12, most: true, others });
    expect((await open([...texts.slice(6), "a", "b", "c", "d", "e", "f"], folder)).overlap()).toMatchObject({
      most: false,
    });
    await (await open(["7", "8"], folder)).charge(run("b"));
    expect((await open([...texts.slice(8), "7", "8", "9"], folder)).overlap()).toMatchObject({ known: 6, most: true });
    for (const file of readdirSync(folder)) {
      expect(statSync(join(folder, file)).mode & 0o777, file).toBe(0o600);
      expect(readFileSync(join(folder, file), "latin1"), file).not.toMatch(/secret/);
    }
  });

  it("takes along the ledger that softpost 0.1.0 named by the file's bytes, for good", async () => {
    const folder = temporaryFolder();
    openLedger(DATA, folder);
    // As softpost 0.1.0 named it: the HMAC of the file's SHA-256.
    const bytesName = createHmac("sha256", readFileSync(join(folder, "key")))
      .update(DATA.fileDigests[0]!)
      .digest("hex");
    const entry = { ...run("old"), time: "2026-01-01T00:00:00.000Z" };
    writeFileSync(join(folder, `${bytesName.slice(0, 32)}.jsonl`), `${JSON.stringify(entry)}\n`);
    expect(names(await openLedger(DATA, folder))).toEqual(["old"]);
    await expect((await openLedger(DATA, folder)).charge(run("b"), { epsilon: 1.5, delta: 1e-5 })).rejects.toThrow(
      /budget/,
    );
    await (await openLedger(DATA, folder)).charge(run("old"));
    await (await openLedger(DATA, folder)).charge(run("new"));
    // The same rows in another file.
    expect(names(await openLedger({ ...DATA, fileDigests: ["cd".repeat(32)] }, folder))).toEqual(["old", "new"]);
    expect(chargedData(folder).length).toBe(1);
  });
});

describe("the ledger's file", () => {
  const file = (ledger: Ledger, folder: string) => join(folder, `${ledger.name}.jsonl`);

  it("has a charge on the disk when charge returns, and once a run", async () => {
    const folder = temporaryFolder();
    const ledger = await openLedger(DATA, folder);
    expect(ledger.entries()).toEqual([]);
    await ledger.charge(run("a"));
    await ledger.charge(run("a"));
    await ledger.charge(run("b"));
    expect((await openLedger(DATA, folder)).entries().map(({ runId }) => runId)).toEqual(["a", "b"]);
    expect(statSync(file(ledger, folder)).mode & 0o777).toBe(0o600);
    expect(chargedData(folder)).toEqual([{ name: ledger.name, entries: ledger.entries() }]);
  });

  it("stays as it was when the budget refuses a run", async () => {
    const folder = temporaryFolder();
    const ledger = await openLedger(DATA, folder);
    await ledger.charge(run("a"), { epsilon: 1.5, delta: 1e-5 });
    const before = readFileSync(file(ledger, folder), "utf8");
    await expect(ledger.charge(run("b"), { epsilon: 1.5, delta: 1e-5 })).rejects.toThrow(/budget/);
    expect(readFileSync(file(ledger, folder), "utf8")).toBe(before);
  });

  it("takes no charge that couldn't be read back", async () => {
    const folder = temporaryFolder();
    const ledger = await openLedger(DATA, folder);
    await ledger.charge(run("a"));
    await expect(ledger.charge(run(""))).rejects.toThrow(/can't be charged.*runId/);
    await expect(ledger.charge({ ...run("b"), delta: Number.NaN })).rejects.toThrow(/can't be charged.*delta/);
    expect(names(ledger)).toEqual(["a"]);
  });

  it("knows once that a run is finished", async () => {
    const folder = temporaryFolder();
    const ledger = await openLedger(DATA, folder);
    await ledger.charge(run("a"));
    expect([...finishedRuns(folder)]).toEqual([]);
    expect(await Promise.all(["a", "a", "b"].map((runId) => finishRun(runId, folder)))).toEqual([true, false, true]);
    expect([...finishedRuns(folder)]).toEqual(["a", "b"]);
    expect(names(ledger)).toEqual(["a"]);
    appendFileSync(join(folder, "finished"), "nonsense\n");
    expect(() => finishedRuns(folder)).toThrow(/damaged.*Line 3/);
  });

  it("forgets a line that a crash left half written, and goes on after it", async () => {
    const folder = temporaryFolder();
    const ledger = await openLedger(DATA, folder);
    await ledger.charge(run("a"));
    appendFileSync(file(ledger, folder), '{"runId":"torn","time":"2026-');
    expect(ledger.entries().length).toBe(1);
    await ledger.charge(run("b"));
    expect(ledger.entries().map(({ runId }) => runId)).toEqual(["a", "b"]);
  });

  it("refuses a damaged line of what belongs together", async () => {
    const folder = temporaryFolder();
    await (await open(["1"], folder, "reviews")).charge(run("a"));
    appendFileSync(join(folder, "links"), "nonsense\n");
    const ledger = await open(["1"], folder);
    expect(() => ledger.entries()).toThrow(/damaged.*Line 2/);
  });

  it("refuses a damaged line instead of taking it for nothing", async () => {
    const folder = temporaryFolder();
    const ledger = await openLedger(DATA, folder);
    await ledger.charge(run("a"));
    appendFileSync(file(ledger, folder), '{"runId":"x"}\n');
    expect(() => ledger.entries()).toThrow(/damaged.*Line 2/);
    await expect(ledger.charge(run("b"))).rejects.toThrow(/damaged/);
  });

  it("takes over the lock of a process that died, and leaves none behind", async () => {
    const folder = temporaryFolder();
    const ledger = await openLedger(DATA, folder);
    const dead = await promisify(execFile)(process.execPath, ["-p", "process.pid"]);
    writeFileSync(join(folder, "lock"), dead.stdout.trim());
    await ledger.charge(run("a"));
    expect(ledger.entries().length).toBe(1);
    expect(readdirSync(folder).filter((name) => name.includes("lock"))).toEqual([]);
  });

  it("lets one process in at a time", async () => {
    const path = join(temporaryFolder(), "lock");
    let inside = 0;
    const most: number[] = [];
    const visit = () =>
      withFileLock(path, async () => {
        most.push(++inside);
        await new Promise((resolve) => setTimeout(resolve, 5));
        inside--;
      });
    await Promise.all(Array.from({ length: 8 }, visit));
    expect(Math.max(...most)).toBe(1);
    expect(existsSync(path)).toBe(false);
  });

  it("never passes a budget with several processes charging at once", async () => {
    const folder = temporaryFolder();
    const code = `
      const { openLedger } = await import(${JSON.stringify(fileURLToPath(new URL("../../client/privacy-ledger.ts", import.meta.url)))});
      const [folder, name] = process.argv.slice(1);
      const ledger = await openLedger(${JSON.stringify(DATA)}, folder);
      for (let i = 0; i < 3; i++) {
        const run = { runId: name + i, sampleRate: 1, noiseMultiplier: 10, steps: 10, delta: 1e-5 };
        await ledger.charge(run, { epsilon: 4, delta: 1e-5 }).catch((error) => { if (!/budget/.test(error.message)) throw error; });
      }`;
    const process_ = (name: string) =>
      promisify(execFile)(process.execPath, ["--input-type=module-typescript", "-e", code, folder, name]);
    await Promise.all(["x", "y", "z"].map(process_));
    // k such runs are one Gaussian mechanism with mu = sqrt(k/10): epsilon 3.85 for 8 of them, 4.12 for 9.
    expect((await openLedger(DATA, folder)).entries().length).toBe(8);
  });
});

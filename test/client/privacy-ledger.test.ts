import { execFile } from "node:child_process";
import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { withFileLock } from "../../client/file-lock.ts";
import { ledgerNames, openLedger } from "../../client/privacy-ledger.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const DIGEST = "ab".repeat(32);
const run = (runId: string) => ({ runId, sampleRate: 0.01, noiseMultiplier: 1, steps: 500, delta: 1e-5 });

describe("the ledger's file", () => {
  it("is named by a keyed fingerprint, the same in any order of files, another on another machine", () => {
    const [folder, elsewhere] = [temporaryFolder(), temporaryFolder()];
    const other = "cd".repeat(32);
    expect(openLedger([DIGEST, other], folder).name).toBe(openLedger([other, DIGEST], folder).name);
    expect(openLedger([DIGEST], folder).name).not.toBe(openLedger([other], folder).name);
    expect(openLedger([DIGEST], folder).name).not.toBe(openLedger([DIGEST], elsewhere).name);
    expect(statSync(join(folder, "key")).mode & 0o777).toBe(0o600);
  });

  it("has a charge on the disk when charge returns, and once a run", async () => {
    const folder = temporaryFolder();
    const ledger = openLedger([DIGEST], folder);
    expect(ledger.entries()).toEqual([]);
    await ledger.charge(run("a"));
    await ledger.charge(run("a"));
    await ledger.charge(run("b"));
    expect(
      openLedger([DIGEST], folder)
        .entries()
        .map(({ runId }) => runId),
    ).toEqual(["a", "b"]);
    expect(statSync(ledger.path).mode & 0o777).toBe(0o600);
    expect(ledgerNames(folder)).toEqual([ledger.name]);
  });

  it("stays as it was when the budget refuses a run", async () => {
    const ledger = openLedger([DIGEST], temporaryFolder());
    await ledger.charge(run("a"), { epsilon: 1.5, delta: 1e-5 });
    const before = readFileSync(ledger.path, "utf8");
    await expect(ledger.charge(run("b"), { epsilon: 1.5, delta: 1e-5 })).rejects.toThrow(/budget/);
    expect(readFileSync(ledger.path, "utf8")).toBe(before);
  });

  it("forgets a line that a crash left half written, and goes on after it", async () => {
    const ledger = openLedger([DIGEST], temporaryFolder());
    await ledger.charge(run("a"));
    appendFileSync(ledger.path, '{"runId":"torn","time":"2026-');
    expect(ledger.entries().length).toBe(1);
    await ledger.charge(run("b"));
    expect(ledger.entries().map(({ runId }) => runId)).toEqual(["a", "b"]);
  });

  it("refuses a damaged line instead of taking it for nothing", async () => {
    const ledger = openLedger([DIGEST], temporaryFolder());
    await ledger.charge(run("a"));
    appendFileSync(ledger.path, '{"runId":"x"}\n');
    expect(() => ledger.entries()).toThrow(/damaged.*Line 2/);
    await expect(ledger.charge(run("b"))).rejects.toThrow(/damaged/);
  });

  it("takes over the lock of a process that died, and leaves none behind", async () => {
    const folder = temporaryFolder();
    const ledger = openLedger([DIGEST], folder);
    const dead = await promisify(execFile)(process.execPath, ["-p", "process.pid"]);
    writeFileSync(`${ledger.path}.lock`, dead.stdout.trim());
    await ledger.charge(run("a"));
    expect(ledger.entries().length).toBe(1);
    expect(readdirSync(folder).filter((file) => file.includes(".lock"))).toEqual([]);
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
      const ledger = openLedger(["${DIGEST}"], folder);
      for (let i = 0; i < 3; i++) {
        const run = { runId: name + i, sampleRate: 1, noiseMultiplier: 10, steps: 10, delta: 1e-5 };
        await ledger.charge(run, { epsilon: 4, delta: 1e-5 }).catch((error) => { if (!/budget/.test(error.message)) throw error; });
      }`;
    const process_ = (name: string) =>
      promisify(execFile)(process.execPath, ["--input-type=module-typescript", "-e", code, folder, name]);
    await Promise.all(["x", "y", "z"].map(process_));
    // k such runs are one Gaussian mechanism with mu = sqrt(k/10): epsilon 3.85 for 8 of them, 4.12 for 9.
    expect(openLedger([DIGEST], folder).entries().length).toBe(8);
  });
});

/** A file system without hard links, such as exFAT; none can be made here. */
import { readdirSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { withFileLock } from "../../client/file-lock.ts";
import { openLedger } from "../../client/privacy-ledger.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

vi.mock("node:fs", async (original) => {
  const real = await original<typeof import("node:fs")>();
  const linkSync = () => {
    throw Object.assign(new Error("EPERM: link"), { code: "EPERM" });
  };
  return { ...real, linkSync };
});

test("has a ledger all the same, one process at a time", async () => {
  const folder = temporaryFolder();
  const ledger = await openLedger({ texts: ["a"], fileDigests: [] }, folder);
  const run = { sampleRate: 1, noiseMultiplier: 10, steps: 1, delta: 1e-5 };
  await Promise.all(["a", "b", "c"].map((runId) => ledger.charge({ runId, ...run })));
  expect(ledger.entries().length).toBe(3);
  expect(readdirSync(folder).sort()).toEqual([`${ledger.name}.jsonl`, `${ledger.name}.rows`, "key"]);
  let inside = 0;
  const visit = () =>
    withFileLock(`${folder}/lock`, async () => {
      expect(++inside).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside--;
    });
  await Promise.all(Array.from({ length: 5 }, visit));
});

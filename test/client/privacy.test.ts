import { describe, expect, it, vi } from "vitest";
import { openLedger } from "../../client/privacy-ledger.ts";
import { readTexts } from "../../shared/data/jsonl.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const RUN = ["--sample-rate", "0.01", "--noise-multiplier", "1", "--steps", "1000"];

async function result(...args: string[]) {
  const { code, stdout, stderr } = await softpost("privacy", ...args, "--json");
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe("softpost privacy", () => {
  it("epsilon, by both accountants (dp_accounting: 1.82824 and 2.10137)", async () => {
    const pld = await result("epsilon", ...RUN, "--delta", "1e-5");
    expect(pld).toMatchObject({ sampleRate: 0.01, noiseMultiplier: 1, steps: 1000, delta: 1e-5, accountant: "pld" });
    expect(pld.epsilon).toBeGreaterThan(1.82823);
    expect(pld.epsilon).toBeLessThan(1.8291);
    expect(pld.lower).toBeLessThan(1.82824);
    const rdp = await result("epsilon", ...RUN, "--delta", "1e-5", "--accountant", "rdp");
    expect(rdp.epsilon).toBeCloseTo(2.1013652716484073, 8);
  });

  it("epsilon for replaced records, groups and searches", async () => {
    const replaced = await result("epsilon", ...RUN, "--delta", "1e-5", "--neighbouring", "replace-one");
    expect(replaced.epsilon).toBeCloseTo(2.8434, 2);
    const run = ["--sample-rate", "0.01", "--noise-multiplier", "1", "--steps", "100", "--delta", "1e-5"];
    expect((await result("epsilon", ...run, "--group", "2")).epsilon).toBeCloseTo(1.5296, 3);
    const search = await result("epsilon", ...run, "--mean-trials", "10", "--accountant", "rdp");
    expect(search.epsilon).toBeGreaterThan((await result("epsilon", ...run, "--accountant", "rdp")).epsilon);
  });

  it("epsilon where batches were cut (dp_accounting, a little looser: 2.19997), and for other searches", async () => {
    const run = ["--sample-rate", String(64 / 5452), "--noise-multiplier", "1", "--steps", "852", "--delta", "1e-5"];
    const cut = await result("epsilon", ...run, "--largest-batch", "96", "--records", "5452");
    expect(cut).toMatchObject({ largestBatch: 96, records: 5452 });
    expect(cut.epsilon).toBeLessThan(2.19997);
    expect(cut.epsilon).toBeGreaterThan(2.0135);
    expect(cut.lower).toBeUndefined();
    const search = ["--accountant", "rdp", "--mean-trials", "10"];
    const [logarithmic, geometric] = [
      await result("epsilon", ...run, ...search, "--trials", "logarithmic"),
      await result("epsilon", ...run, ...search),
    ];
    expect(logarithmic.epsilon).toBeLessThan(geometric.epsilon);
    expect(geometric).toMatchObject({ meanTrials: 10, trials: "geometric" });
  });

  it("delta, noise and steps", async () => {
    const delta = await result("delta", ...RUN, "--epsilon", "0.5");
    expect(delta.delta).toBeCloseTo(0.030568, 4);
    const noise = await result("noise", "--epsilon", "3", "--sample-rate", "0.01", "--steps", "500", "--delta", "1e-5");
    expect(noise.epsilon).toBeLessThanOrEqual(3);
    expect(noise.noiseMultiplier).toBeCloseTo(0.7428, 3);
    const flags = ["--epsilon", "3", "--sample-rate", "0.01", "--noise-multiplier", "1", "--delta", "1e-5"];
    const steps = await result("steps", ...flags, "--accountant", "rdp");
    expect(steps.epsilon).toBeLessThanOrEqual(3);
    expect(steps.steps).toBeGreaterThan(1500);
  });

  it.each<[number, RegExp, string[]]>([
    [2, /3 required options are missing/, ["epsilon", "--delta", "1e-5"]],
    [2, /from 0 to 1/, ["epsilon", ...RUN.slice(2), "--sample-rate", "1.1", "--delta", "1e-5"]],
    [2, /Allowed choices/, ["epsilon", ...RUN, "--delta", "1e-5", "--accountant", "prv"]],
    [1, /delta: 0 is not between/, ["epsilon", ...RUN, "--delta", "0"]],
    [
      1,
      /does not describe/,
      ["epsilon", ...RUN, "--delta", "1e-5", "--accountant", "rdp", "--neighbouring", "replace-one"],
    ],
    [1, /does not describe/, ["epsilon", ...RUN, "--delta", "1e-5", "--mean-trials", "3"]],
    [1, /needed together/, ["epsilon", ...RUN, "--delta", "1e-5", "--largest-batch", "3"]],
    [1, /one at a time/, ["epsilon", ...RUN, "--delta", "1e-5", "--group", "2", "--mean-trials", "3"]],
    [
      1,
      /can't be reached/,
      ["noise", "--epsilon", "1e-9", "--sample-rate", "1", "--steps", "1000000", "--delta", "1e-300"],
    ],
  ])("ends with %d and says %s", async (code, message, args) => {
    const finished = await softpost("privacy", ...args);
    expect(finished.code, finished.stderr).toBe(code);
    expect(finished.stderr).toMatch(message);
    expect(finished.stdout).toBe("");
  });

  it("ledger shows the runs on a data set, their composition and what is left", async () => {
    vi.stubEnv("SOFTPOST_HOME", temporaryFolder());
    const data = temporaryFile("private.jsonl", '{"text":"a","label":0}\n');
    expect((await result("ledger")).ledgers).toEqual([]);
    const ledger = await openLedger({ texts: await readTexts(data), fileDigests: [] });
    for (const runId of ["first", "second"]) {
      await ledger.charge({ runId, sampleRate: 1, noiseMultiplier: 10, steps: 10, delta: 1e-5 });
    }
    const [shown] = (await result("ledger", "--data", data, "--budget-epsilon", "3")).ledgers;
    expect(shown.runs.map((run: { runId: string }) => run.runId)).toEqual(["first", "second"]);
    expect(shown.epsilon).toBeGreaterThan(shown.runs[0].epsilon);
    expect(shown.epsilon).toBeLessThan(2 * shown.runs[0].epsilon);
    expect(shown.left).toBeCloseTo(3 - shown.epsilon, 12);
    vi.unstubAllEnvs();
  });
});

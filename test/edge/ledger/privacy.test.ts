import { expect, test } from "vitest";
import { composedEpsilon } from "../../../edge/ledger/privacy.ts";
import type { PrivacyRecord } from "../../../shared/protocol/manifest.ts";

const record = (steps: number): PrivacyRecord => ({
  sampler: "poisson",
  neighbouring: "add-or-remove-one",
  accountant: "rdp",
  epsilon: 2.2,
  delta: 1e-5,
  noiseMultiplier: 1,
  sampleRate: 0.01,
  steps,
  clip: 1,
  records: 10_000,
  batchSize: 100,
});

test("releases of one kind of run compose to one run of all their steps, in the time of one", () => {
  const releases = Array.from({ length: 1000 }, (_, row) => ({ row, privacy: record(1 + (row % 3)) }));
  const steps = releases.reduce((sum, { privacy }) => sum + privacy.steps, 0);
  const all = composedEpsilon(releases, 1e-5, record(9));
  const start = performance.now();
  // Remembered as one run, so nothing is computed again.
  expect(composedEpsilon([], 1e-5, record(steps + 9))).toBe(all);
  expect(composedEpsilon(releases.toReversed(), 1e-5, record(9))).toBe(all);
  expect(performance.now() - start).toBeLessThan(50);
});

import { expect, test, vi } from "vitest";
import { composedEpsilon } from "../../../edge/ledger/privacy.ts";
import { limitedEpsilonBounds } from "../../../shared/privacy/accountant.ts";
import type { PrivacyRecord } from "../../../shared/protocol/manifest.ts";

vi.mock("../../../shared/privacy/accountant.ts", { spy: true });

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

test("releases of one kind of run compose to one run of all their steps, computed once", () => {
  const releases = Array.from({ length: 1000 }, (_, row) => ({ row, privacy: record(1 + (row % 3)) }));
  const steps = releases.reduce((sum, { privacy }) => sum + privacy.steps, 0);
  const all = composedEpsilon(releases, 1e-5, record(9));
  const computed = vi.mocked(limitedEpsilonBounds).mock.calls.length;
  expect(computed).toBeGreaterThan(0);
  expect(composedEpsilon([], 1e-5, record(steps + 9))).toBe(all);
  expect(composedEpsilon(releases.toReversed(), 1e-5, record(9))).toBe(all);
  expect(vi.mocked(limitedEpsilonBounds)).toHaveBeenCalledTimes(computed);
});

/** Numbers that can't be are refused by name, before anything is read, computed or charged. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { distill, evaluate, openModel, type ProblemError, predict, transfer, tune } from "../../library/index.ts";
import { fixture } from "../helpers/fixtures.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const task = fixture("tiny-task/task.json");
const train = fixture("tiny-task/train.jsonl");
let model: Awaited<ReturnType<typeof openModel>>;

beforeAll(async () => {
  model = await openModel(fixture("tiny-gpt2"));
});

async function faultsOf(promise: Promise<unknown>): Promise<string[]> {
  const { code, faults } = await promise.then(
    () => {
      throw new Error("It was accepted.");
    },
    (error: ProblemError) => error,
  );
  expect(code).toBe("the-options-are-not-valid");
  return faults.map(({ at, message }) => `${at}: ${message}`);
}

const whole = (least: number) => `It must be a whole number of at least ${least}.`;
const POSITIVE = "It must be a number above 0, such as 1e-3.";
const BAD_COUNTS = [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "5", null];
const BAD_AMOUNTS = [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "5", null];

test.each([
  ...["steps", "batchSize", "averagedSteps", "promptTokens", "rowsPerUnit", "threads"].map(
    (name) => [name, whole(1), BAD_COUNTS] as const,
  ),
  ["seed", whole(0), [-1, 0.5, Number.NaN]],
  ...["epochs", "learningRate", "epsilon", "noiseMultiplier", "clip", "budgetEpsilon"].map(
    (name) => [name, POSITIVE, BAD_AMOUNTS] as const,
  ),
  ["delta", "It must be a number from 0 to 1.", [-1, 1.1, Number.NaN]],
] as const)("tune refuses %s by its name", async (name, message, values) => {
  const home = temporaryFolder();
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv("SOFTPOST_HOME", home);
  for (const value of values) {
    const options = { model, task, train, epsilon: 8, steps: 1, promptTokens: 4, [name]: value };
    expect(await faultsOf(tune(options)), String(value)).toEqual([`${name}: ${message}`]);
  }
  expect(existsSync(join(home, "ledger"))).toBe(false);
});

test("all faults are named at once, and other functions refuse theirs", async () => {
  const told = await faultsOf(tune({ model, task, train, steps: -1, learningRate: Number.NaN }));
  expect(told).toEqual([`steps: ${whole(1)}`, `learningRate: ${POSITIVE}`]);
  const out = join(temporaryFolder(), "student");
  expect(await faultsOf(distill({ target: model, public: [train], out, steps: 0, maxLength: 1 }))).toHaveLength(2);
  expect(existsSync(out)).toBe(false);
  expect(await faultsOf(evaluate({ model, task, data: train, threads: -1 }))).toEqual([`threads: ${whole(1)}`]);
  expect(await faultsOf(predict({ model, task, texts: ["a"], threads: 0.5 }))).toEqual([`threads: ${whole(1)}`]);
});

test("transfer refuses its own, and a data file a limit that is no number of rows", async () => {
  const prompt = await tune({ model, task, train, steps: 1, promptTokens: 4, batchSize: 2 });
  const given = { target: model, student: model, prompt, public: train };
  for (const alpha of [-1, 2, Number.NaN]) {
    expect(await faultsOf(transfer({ ...given, alpha }))).toEqual(["alpha: It must be a number from 0 to 1."]);
  }
  expect(await faultsOf(transfer({ ...given, selected: 9 }))).toEqual([`selected: ${whole(10)}`]);
  for (const limit of [0, -1, 1.5, Number.NaN]) {
    const data = { path: train, columns: {}, limit };
    expect(await faultsOf(tune({ model, task, train: data }))).toEqual([`limit: ${whole(1)}`]);
    expect(await faultsOf(evaluate({ model, task, data }))).toEqual([`limit: ${whole(1)}`]);
  }
});

test.each([
  [{ delta: 1e-5 }, "delta needs epsilon or noiseMultiplier."],
  [{ privacyUnit: "user" }, "privacyUnit needs epsilon or noiseMultiplier."],
  [{ dataset: "mails" }, "dataset needs epsilon or noiseMultiplier."],
  [{ epsilon: 8, rowsPerUnit: 2 }, "rowsPerUnit needs privacyUnit."],
  [{ epsilon: 8, shuffle: false }, "shuffle: false contradicts the random sampling of differential privacy."],
] as const)("a guarantee that is asked for in part is refused: %j", async (part, detail) => {
  await expect(tune({ model, task, train, steps: 1, promptTokens: 4, ...part })).rejects.toMatchObject({
    code: "the-options-are-not-valid",
    detail,
  });
});

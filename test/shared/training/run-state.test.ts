import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Engine } from "../../../shared/graph/engine.ts";
import type { Model } from "../../../shared/models/model.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { InterruptedError } from "../../../shared/training/loop.ts";
import { ADAM } from "../../../shared/training/optimizers.ts";
import { loadRun, removeRun, saveRun } from "../../../shared/training/run-state.ts";
import { tune } from "../../../shared/training/tune.ts";
import { examples, golden, tensor, tinyModel } from "../../helpers/tiny-gpt2.ts";

let engine: Engine;
let model: Model;
beforeAll(async () => {
  engine = new Engine({ threads: 1 });
  model = await tinyModel();
});
afterAll(() => engine.close());

const statePath = () => join(mkdtempSync(join(tmpdir(), "softpost-")), "state");

function run(path: string, { resume = false, stopAfter = 99 } = {}) {
  const stop = new AbortController();
  return tune(
    {
      engine,
      model,
      classes: golden.classes,
      examples,
      start: tensor("classify.prompt"),
      optimizer: ADAM,
      learningRate: 0.01,
      steps: 7,
      averagedSteps: 4,
      batchSize: 3,
      order: { kind: "shuffled", seed: 5 },
      state: { path, settings: { seed: 5, data: "abc" }, resume },
    },
    {
      signal: stop.signal,
      onEvent: (event) => {
        if (event.kind === "progress" && event.done === stopAfter) stop.abort();
      },
    },
  );
}

test("a run that was stopped and resumed ends bit for bit where an undisturbed one does", async () => {
  const undisturbed = await run(statePath());
  const path = statePath();
  await expect(run(path, { stopAfter: 2 })).rejects.toThrow(InterruptedError);
  await expect(run(path, { resume: true, stopAfter: 5 })).rejects.toThrow(InterruptedError);
  const resumed = await run(path, { resume: true });
  expect([...resumed.prompt.data]).toEqual([...undisturbed.prompt.data]);
});

test("a state of another run is refused, and every difference named", async () => {
  const path = statePath();
  const variables = { prompt: { shape: [2], data: Float32Array.of(1, 2) } };
  await saveRun(path, { seed: 1, data: "abc" }, { step: 3, variables });
  expect(await loadRun(path, { seed: 1, data: "abc" })).toEqual({ step: 3, variables });
  const refused = loadRun(path, { seed: 2, data: "abd" });
  await expect(refused).rejects.toMatchObject({
    faults: [
      { at: "seed", message: "was 1, is 2 now" },
      { at: "data", message: "was abc, is abd now" },
    ],
  });
});

test("a state is for its user's eyes only, also where a crash left another file", async () => {
  const path = statePath();
  writeFileSync(`${path}.tmp`, "half a state", { mode: 0o644 });
  await saveRun(path, {}, { step: 1, variables: { prompt: { shape: [2], data: Float32Array.of(1, 2) } } });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileSync(`${path}.tmp`, "half a state");
  await removeRun(path);
  expect(readdirSync(dirname(path))).toEqual([]);
});

test("no state is no state, and a damaged one is an error that names the file", async () => {
  const path = statePath();
  expect(await loadRun(path, {})).toBeUndefined();
  await saveRun(path, {}, { step: 1, variables: { prompt: { shape: [2], data: Float32Array.of(1, 2) } } });
  writeFileSync(path, readFileSync(path).subarray(0, -3));
  await expect(loadRun(path, {})).rejects.toThrow(ProblemError);
  await expect(loadRun(path, {})).rejects.toThrow(path);
});

test("a state of any size is read a tensor at a time", async () => {
  const path = statePath();
  const variables = Object.fromEntries(
    ["a", "b", "c"].map((name) => [name, { shape: [1000], data: new Float32Array(1000).fill(2) }]),
  );
  await saveRun(path, {}, { step: 1, variables });
  await using handle = await open(path);
  const read = vi.spyOn(Object.getPrototypeOf(handle), "read");
  expect(await loadRun(path, {})).toEqual({ step: 1, variables });
  const asked = read.mock.calls.map(([, , length]) => length as number);
  read.mockRestore();
  expect(asked.filter((length) => length > 1000)).toEqual([4000, 4000, 4000]);
});

test("a state above 2 GiB is looked into", async () => {
  const path = statePath();
  const shape = [3 * 2 ** 28];
  const header = JSON.stringify({
    __metadata__: { step: "1", settings: '{"seed":1}' },
    a: { dtype: "F32", shape, data_offsets: [0, 4 * shape[0]!] },
  });
  const start = Buffer.alloc(8 + header.length);
  start.writeBigUInt64LE(BigInt(header.length));
  start.write(header, 8);
  writeFileSync(path, start);
  truncateSync(path, start.length + 4 * shape[0]!);
  await expect(loadRun(path, { seed: 2 })).rejects.toThrow(/of another run/);
  rmSync(path);
});

test("a state that the disk refuses is a problem that names it, and leaves nothing that takes room", async () => {
  const path = statePath();
  mkdirSync(path);
  const saving = saveRun(path, {}, { step: 1, variables: {} });
  await expect(saving).rejects.toThrow(`The run can't be saved: ${path} can't be written (EISDIR)`);
  expect(readdirSync(dirname(path))).toEqual(["state"]);
});

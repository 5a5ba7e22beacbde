import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Checkpoint } from "../../../batch/lifecycle/checkpoint.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../../batch/lifecycle/checkpoint-file.ts";
import type { Bucket } from "../../../batch/storage/bucket.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { problem } from "../../helpers/problem.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { type Provider, startProvider } from "../../service/provider.ts";

const file = { run: "r", step: 3, seconds: 1.5, state: Uint8Array.of(1, 2, 0x0a, 3) };

describe("a checkpoint's bytes", () => {
  test("come back as they were", () => {
    const { state, ...rest } = decodeCheckpoint(encodeCheckpoint(file), "key", "r");
    expect(rest).toMatchObject({ run: "r", step: 3, seconds: 1.5 });
    expect([...state]).toEqual([...file.state]);
  });

  test("with any bit turned, or cut anywhere, are refused", () => {
    const whole = encodeCheckpoint(file);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(7), (at, bit) => {
        const damaged = Uint8Array.from(whole);
        damaged[at]! ^= 1 << bit;
        expect(problem(() => decodeCheckpoint(damaged, "key", "r"))).toContain("key is damaged");
        expect(problem(() => decodeCheckpoint(whole.subarray(0, at), "key", "r"))).toContain("key is damaged");
      }),
    );
  });

  test("of another run or format are refused", () => {
    expect(problem(() => decodeCheckpoint(encodeCheckpoint(file), "key", "other"))).toContain("of another run");
    const later = encodeCheckpoint({ ...file, step: -1 });
    expect(problem(() => decodeCheckpoint(later, "key", "r"))).toContain("another format");
  });
});

describe("a job's checkpoints", () => {
  let provider: Provider;
  let store: Bucket;
  let lines: string[];

  beforeAll(async () => {
    provider = await startProvider(await loadBundle());
    store = provider.store;
  });

  afterAll(() => provider.close());

  function checkpointOf(job: string, run = "r") {
    const statePath = join(temporaryFolder(), "state");
    lines = [];
    const checkpoint = new Checkpoint(store, { job, run, statePath, log: (event) => lines.push(event) });
    const save = async (step: number) => {
      writeFileSync(statePath, `state ${step}`);
      checkpoint.save(step);
      await checkpoint.settled();
    };
    const restored = async () => ((await checkpoint.restore()) ? readFileSync(statePath, "utf8") : undefined);
    return { checkpoint, save, restored };
  }

  const keys = (job: string) => store.list(`jobs/${job}/checkpoint/`);

  test("are the last two, and the newest is gone on from", async () => {
    const { save, checkpoint } = checkpointOf("two");
    for (const step of [2, 10, 9000]) await save(step);
    expect((await keys("two")).map((key) => Number(key.split("/").at(-1)))).toEqual([10, 9000]);
    expect(await checkpointOf("two").restored()).toBe("state 9000");
    await checkpoint.clear();
    expect(await keys("two")).toEqual([]);
    expect(await checkpointOf("two").restored()).toBeUndefined();
  });

  test("that are damaged or cut off give way to the one before, and at last to none", async () => {
    await checkpointOf("cut").save(1);
    const { save, restored } = checkpointOf("cut");
    expect(await restored()).toBe("state 1");
    await save(2);
    const [, newest] = await keys("cut");
    await store.write(newest!, (await store.need(newest!)).subarray(0, -1));
    expect(await checkpointOf("cut").restored()).toBe("state 1");
    expect(lines).toEqual(["checkpoint dropped", "restored"]);
    const [only] = await keys("cut");
    await store.write(only!, "x");
    expect(await checkpointOf("cut").restored()).toBeUndefined();
    expect(await keys("cut")).toEqual([]);
  });

  test("of another run are not used", async () => {
    await checkpointOf("other", "before").save(1);
    expect(await checkpointOf("other", "now").restored()).toBeUndefined();
  });

  test("count the seconds of all attempts", async () => {
    const key = "jobs/seconds/checkpoint/000000000001";
    await store.write(key, encodeCheckpoint({ run: "r", step: 1, seconds: 1000, state: Uint8Array.of(1) }));
    const { checkpoint, restored } = checkpointOf("seconds");
    await restored();
    expect(checkpoint.deviceSeconds).toBeGreaterThanOrEqual(1000);
    expect(checkpoint.deviceSeconds).toBeLessThan(2000);
  });

  test("go on being written after one could not be", async () => {
    const { save, checkpoint } = checkpointOf("missing");
    checkpoint.save(1);
    await checkpoint.settled();
    expect(lines).toEqual(["checkpoint failed"]);
    await save(2);
    expect(await keys("missing")).toHaveLength(1);
  });
});

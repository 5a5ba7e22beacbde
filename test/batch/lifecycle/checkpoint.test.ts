import { readFileSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Checkpoint } from "../../../batch/lifecycle/checkpoint.ts";
import { type CheckpointFacts, decodeCheckpoint, encodeCheckpoint } from "../../../batch/lifecycle/checkpoint-file.ts";
import type { Bucket } from "../../../batch/storage/bucket.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile, temporaryFolder } from "../../helpers/temporary.ts";
import { type Provider, startProvider } from "../../service/provider.ts";

const facts = { run: "r", step: 3, seconds: 1.5 };
const STATE = Uint8Array.of(1, 2, 0x0a, 3);

/** The bytes of a checkpoint's object, asked for in parts of `part`. */
async function encoded(of: CheckpointFacts = facts, state = STATE, part = 7): Promise<Uint8Array> {
  await using file = await open(temporaryFile("state", state));
  const content = await encodeCheckpoint(of, file);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < content.size; at += part) parts.push(await content.read(at, Math.min(part, content.size - at)));
  return Buffer.concat(parts);
}

/** What is read from an object that comes in pieces of `piece` bytes. */
async function decoded(object: Uint8Array, run = "r", piece = 5) {
  const pieces = Array.from({ length: Math.ceil(object.length / piece) }, (_, i) =>
    object.subarray(i * piece, (i + 1) * piece),
  );
  const statePath = join(temporaryFolder(), "state");
  const found = await decodeCheckpoint(Readable.from(pieces), { key: "key", run, statePath });
  return { ...found, state: [...readFileSync(statePath)] };
}

describe("a checkpoint's bytes", () => {
  test("come back as they were, in whatever pieces they are read", async () => {
    const whole = await encoded();
    for (const part of [1, 64, 65, 66, 1000]) expect(await encoded(facts, STATE, part)).toEqual(whole);
    for (const piece of [1, 65, 66, 1000])
      expect(await decoded(whole, "r", piece)).toMatchObject({ ...facts, state: [...STATE] });
    expect(await decoded(await encoded(facts, new Uint8Array()))).toMatchObject({ ...facts, state: [] });
  });

  test("are made of a state that is never in memory whole", async () => {
    const state = new Uint8Array(2 ** 23 + 5).map((_, i) => i % 251);
    await using handle = await open(temporaryFile("x", ""));
    const read = vi.spyOn(Object.getPrototypeOf(handle), "read");
    const whole = await encoded(facts, state, 2 ** 20);
    const asked = read.mock.calls.map(([into]) => (into as Uint8Array).length);
    read.mockRestore();
    expect(Math.max(...asked)).toBe(2 ** 22);
    expect((await decoded(whole, "r", 2 ** 20)).state.length).toBe(state.length);
  });

  test("with any bit turned, or cut anywhere, are refused", async () => {
    const whole = await encoded();
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(7), async (at, bit) => {
        const damaged = Uint8Array.from(whole);
        damaged[at]! ^= 1 << bit;
        expect(await rejection(decoded(damaged))).toContain("key is damaged");
        expect(await rejection(decoded(whole.subarray(0, at)))).toContain("key is damaged");
      }),
    );
  });

  test("of another run or format are refused", async () => {
    expect(await rejection(decoded(await encoded(), "other"))).toContain("of another run");
    expect(await rejection(decoded(await encoded({ ...facts, step: -1 })))).toContain("another format");
    expect(await rejection(decoded(await encoded({ ...facts, run: "r".repeat(5000) })))).toContain("another format");
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
    await store.write(key, await encoded({ run: "r", step: 1, seconds: 1000 }));
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

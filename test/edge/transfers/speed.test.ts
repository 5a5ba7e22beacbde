import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PromptStore } from "../../../edge/storage/prompt-store.ts";
import { estimateOf, estimatesByDevice, learnSpeed, readSamples, type Sample } from "../../../edge/transfers/speed.ts";

const ASSUMED = 20_000;
const sample = (work: number, seconds: number, at = 0, device = ""): Sample => ({
  work,
  seconds,
  at,
  device,
  tenant: "",
  precision: "fp32",
  weights: "fp32",
});
const secondsFor = (samples: readonly Sample[], work: number, assumed = ASSUMED) => {
  const { startSeconds, tokensPerSecond } = estimateOf(samples, assumed);
  return startSeconds + work / tokensPerSecond;
};
/** 3 000 steps of a tiny model, and one of them. */
const REAL = sample(900_000, 4.7);
const tiny = (seconds: number) => sample(600, seconds);

/** A bucket of one object, as `learnSpeed` uses it. */
function memory(): PromptStore {
  let text: string | undefined;
  return {
    get: async () => (text === undefined ? null : { etag: "e", json: async () => JSON.parse(text!) }),
    put: async (_: string, value: string) => {
      text = value;
    },
  } as unknown as PromptStore;
}

describe("the estimate of a transfer", () => {
  test("before any has finished is the provider's assumption", () => {
    expect(estimateOf([], ASSUMED)).toEqual({ startSeconds: 5, tokensPerSecond: ASSUMED });
  });

  test("like the one that finished is what that took", () => {
    expect(secondsFor([REAL], REAL.work)).toBeCloseTo(4.7);
    expect(secondsFor([sample(900_000, 400)], 900_000)).toBeCloseTo(400);
  });

  test("isn't spoiled by twenty tiny ones, before or after it", async () => {
    for (const seconds of [0.3, 4, 30]) {
      const store = memory();
      const others = Array.from({ length: 20 }, () => tiny(seconds));
      for (const each of [...others, REAL, ...others]) await learnSpeed(store, "target", each);
      expect(secondsFor(await readSamples(store, "target"), REAL.work)).toBeCloseTo(4.7);
    }
  });

  test("after tiny ones alone has the assumed speed", () => {
    const few = [tiny(3), tiny(0.4), sample(3000, 3.3), sample(1500, 0.5)];
    expect(secondsFor(few, REAL.work)).toBeLessThanOrEqual(5 + REAL.work / ASSUMED);
  });

  test("finds start and speed where jobs of different sizes say both", () => {
    const samples = [1e4, 1e5, 1e6, 1e7].map((work) => sample(work, 8 + work / 50_000));
    const { startSeconds, tokensPerSecond } = estimateOf(samples, ASSUMED);
    expect(startSeconds).toBeCloseTo(8, 0);
    expect(tokensPerSecond / 50_000).toBeCloseTo(1, 1);
  });

  test("forgets what is older than a month once there is something newer", () => {
    const month = 31 * 86_400_000;
    expect(secondsFor([REAL, sample(900_000, 50, month)], 900_000)).toBeCloseTo(50);
  });

  test("of a job of the heaviest kind stays within a factor of two, whatever lighter ones took", () => {
    const work = fc.integer({ min: 1, max: 100_000 });
    const light = fc.record({ work, seconds: fc.double({ min: 0.1, max: 1e4, noNaN: true }) });
    fc.assert(
      fc.property(fc.array(light, { maxLength: 40 }), fc.integer({ min: 1, max: 100 }), (lights, times) => {
        // Nothing computes faster than it can: a light job has no more work a second than a heavy one.
        const possible = lights.map(({ work, seconds }) => sample(work, Math.max(seconds, work / 100_000)));
        const heavy = sample(1e6, 10);
        const alone = secondsFor([heavy], heavy.work * times);
        const together = secondsFor([...possible, heavy], heavy.work * times);
        expect(together / alone).toBeGreaterThanOrEqual(0.5 - 1e-9);
        expect(together / alone).toBeLessThanOrEqual(2 + 1e-9);
      }),
    );
  });
});

test("a job that took no time teaches nothing, and memory is bounded", async () => {
  const store = memory();
  await learnSpeed(store, "target", sample(10, 0));
  expect(await readSamples(store, "target")).toEqual([]);
  for (let i = 0; i < 100; i++) await learnSpeed(store, "target", sample(100 + i, 1));
  // Two octaves.
  expect((await readSamples(store, "target")).length).toBeLessThanOrEqual(10);
});

test("however many jobs a tenant sends, one of them counts among those of the others", async () => {
  const store = memory();
  for (const tenant of ["a", "b", "c"]) await learnSpeed(store, "target", { ...sample(900_000, 90), tenant });
  for (let i = 0; i < 20; i++) await learnSpeed(store, "target", { ...sample(900_000, 3, i), tenant: "d" });
  const samples = await readSamples(store, "target");
  expect(samples.map(({ tenant }) => tenant)).toEqual(["a", "b", "c", "d"]);
  expect(secondsFor(samples, 900_000)).toBeCloseTo(90);
  await learnSpeed(store, "target", { ...sample(900_000, 80), tenant: "a" });
  expect((await readSamples(store, "target")).map(({ tenant }) => tenant)).toEqual(["b", "c", "d", "a"]);
});

test("each device has a speed of its own, and keeps its samples whatever others do", async () => {
  const store = memory();
  for (let i = 0; i < 3; i++) await learnSpeed(store, "target", sample(900_000, 90, i, "NVIDIA L4"));
  for (let i = 0; i < 20; i++) await learnSpeed(store, "target", sample(900_000, 45, i, "NVIDIA A10G"));
  const devices = estimatesByDevice(await readSamples(store, "target"), ASSUMED);
  expect(devices.map(({ device, finishedJobs }) => [device, finishedJobs])).toEqual([
    ["NVIDIA L4", 3],
    ["NVIDIA A10G", 5],
  ]);
  for (const { startSeconds, tokensPerSecond, device } of devices) {
    expect(startSeconds + 900_000 / tokensPerSecond).toBeCloseTo(device === "NVIDIA L4" ? 90 : 45);
  }
});

import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { checkDevice } from "../../batch/device.ts";
import { readEnvironment } from "../../batch/environment.ts";

const PROVIDER = "../../node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so";
const hasCuda = existsSync(new URL(PROVIDER, import.meta.url));

test("the CPU is always there", async () => {
  await expect(checkDevice("cpu")).resolves.toBeUndefined();
});

test.skipIf(hasCuda)("a job that asks for CUDA where it isn't ends at once and says why", async () => {
  await expect(checkDevice("cuda")).rejects.toMatchObject({
    title: "The device is missing",
    status: 400,
    detail: expect.stringMatching(/asks for CUDA.*Failed to load shared library.*NVIDIA GPU/s),
  });
});

test("the device is the environment's, the CPU by default, and no other", () => {
  const SOFTPOST_BUCKET = "bucket";
  expect(readEnvironment({ SOFTPOST_BUCKET }).device).toBe("cpu");
  expect(readEnvironment({ SOFTPOST_BUCKET, SOFTPOST_DEVICE: "cuda" }).device).toBe("cuda");
  expect(() => readEnvironment({ SOFTPOST_BUCKET, SOFTPOST_DEVICE: "tpu" })).toThrow(/must be cpu or cuda; it is tpu/);
});

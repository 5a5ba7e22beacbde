import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { readEnvironment } from "../../../batch/environment.ts";
import { checkDevice } from "../../../shared/graph/device.ts";

const PROVIDER = "../../../node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so";
const hasCuda = existsSync(new URL(PROVIDER, import.meta.url));

test("the CPU is always there", async () => {
  await expect(checkDevice("cpu")).resolves.toBeUndefined();
});

test.skipIf(hasCuda)("a job that asks for CUDA where it isn't ends at once and says why", async () => {
  await expect(checkDevice("cuda")).rejects.toMatchObject({
    title: "The device is missing",
    status: 400,
    detail: expect.stringMatching(/can't use CUDA here.*NVIDIA GPU.*Failed to load shared library/s),
  });
});

// That every graph runs where there is a device is test/batch/try-device.test.ts.
test.skipIf(hasCuda)("the program says that a device is missing", async () => {
  const program = fileURLToPath(new URL("../../../batch/main.ts", import.meta.url));
  const env = { ...process.env, SOFTPOST_DEVICE: "cuda" };
  const ended = await promisify(execFile)(process.execPath, [program, "device"], { env }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error) => error,
  );
  expect(ended).toMatchObject({ code: 1, stdout: expect.stringMatching(/^The device is missing: .*\n$/) });
});

test("the device is the environment's, the CPU by default, and no other", () => {
  const SOFTPOST_BUCKET = "bucket";
  expect(readEnvironment({ SOFTPOST_BUCKET }).device).toBe("cpu");
  expect(readEnvironment({ SOFTPOST_BUCKET, SOFTPOST_DEVICE: "cuda" }).device).toBe("cuda");
  expect(() => readEnvironment({ SOFTPOST_BUCKET, SOFTPOST_DEVICE: "tpu" })).toThrow(/must be one of .*; it is tpu/);
});

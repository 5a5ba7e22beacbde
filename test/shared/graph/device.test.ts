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

test.skipIf(hasCuda).each([
  ["cpu", 0, "cpu can be used.\n"],
  ["cuda", 1, /^The device is missing: .*\n$/],
] as const)("the program tries %s", async (device, code, said) => {
  const program = fileURLToPath(new URL("../../../batch/main.ts", import.meta.url));
  const env = { ...process.env, SOFTPOST_DEVICE: device };
  const run = promisify(execFile)(process.execPath, [program, "device"], { env });
  const ended = await run.then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error) => error,
  );
  expect(ended).toMatchObject({ code, stdout: typeof said === "string" ? said : expect.stringMatching(said) });
});

test("the device is the environment's, the CPU by default, and no other", () => {
  const SOFTPOST_BUCKET = "bucket";
  expect(readEnvironment({ SOFTPOST_BUCKET }).device).toBe("cpu");
  expect(readEnvironment({ SOFTPOST_BUCKET, SOFTPOST_DEVICE: "cuda" }).device).toBe("cuda");
  expect(() => readEnvironment({ SOFTPOST_BUCKET, SOFTPOST_DEVICE: "tpu" })).toThrow(/must be cpu or cuda; it is tpu/);
});

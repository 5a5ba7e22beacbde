import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { deviceName } from "../../../batch/lifecycle/device-name.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

test("a job names the GPU as its driver does, or says that it doesn't know", async () => {
  const gpus = temporaryFolder();
  expect(await deviceName("cuda", gpus)).toBe("unknown GPU");
  mkdirSync(join(gpus, "0000:00:1e.0"));
  writeFileSync(join(gpus, "0000:00:1e.0", "information"), "Model: \t\t NVIDIA A10G\nIRQ:   \t\t 0\n");
  expect(await deviceName("cuda", gpus)).toBe("NVIDIA A10G");
  expect(await deviceName("cpu", gpus)).toBe("CPU");
});

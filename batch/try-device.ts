import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkDevice } from "../shared/graph/device.ts";
import { type Device, Engine } from "../shared/graph/engine.ts";
import { gb } from "../shared/graph/memory.ts";
import { deviceName } from "./lifecycle/device-name.ts";
import { compareGraphs } from "./try-device/compare.ts";
import { deviceMemory } from "./try-device/device-memory.ts";
import { SIZES, timeStep } from "./try-device/time-step.ts";
import { tinyModels } from "./try-device/tiny-model.ts";

const say = (line: string) => process.stdout.write(`${line}\n`);

/**
 * A new image's or machine's first test: says whether the device can be used, runs every graph on it once against the CPU's values, and times a
 * transfer's step for some sizes of models.
 *
 * @param sizes names of those that are timed
 * @returns the exit code: 1 if the device can't be used, or anything differs
 */
export async function tryDevice(device: Device, sizes: readonly string[] = Object.keys(SIZES)): Promise<number> {
  const problem = await checkDevice(device).then(
    () => undefined,
    (error: Error) => error.message,
  );
  say(problem ?? `${device} can be used: ${await deviceName(device)}.`);
  if (problem !== undefined) return 1;
  const folder = await mkdtemp(join(tmpdir(), "softpost-device-"));
  try {
    const differing = await compareAll(device, folder);
    await timeAll(device, folder, sizes);
    say(differing === 0 ? "Every graph agrees with the CPU." : `${differing} graphs DIFFER from the CPU.`);
    return differing === 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compareAll(device: Device, folder: string): Promise<number> {
  let differing = 0;
  for (const { family, checkpoint } of await tinyModels(folder)) {
    for (const precision of ["float32", "float16"] as const) {
      for (const { name, error, limit, onCpu } of await compareGraphs(checkpoint, precision, device)) {
        const agrees = error <= limit;
        differing += agrees ? 0 : 1;
        const fallen = onCpu.length === 0 ? "" : `; on the CPU: ${onCpu.join(", ")}`;
        say(
          `${agrees ? "ok    " : "DIFFER"} ${family} ${precision} ${name}: off by ${error.toExponential(1)}${fallen}`,
        );
      }
    }
  }
  return differing;
}

async function timeAll(device: Device, folder: string, sizes: readonly string[]): Promise<void> {
  for (const size of sizes) {
    for (const precision of ["float32", "float16"] as const) {
      const engine = new Engine({ device });
      try {
        const before = await deviceMemory(device);
        const { seconds, weights, memory } = await timeStep(engine, join(folder, size), SIZES[size]!, precision, () =>
          deviceMemory(device),
        );
        const taken = memory === undefined ? "" : `, ${gb(memory - (before ?? 0))} GB of the device's memory`;
        say(`${size} (${gb(weights)}e9 weights) ${precision}: ${(1000 * seconds).toFixed(0)} ms a step${taken}`);
      } catch (error) {
        say(`${size} ${precision}: not timed (${(error as Error).message.split("\n")[0]})`);
      } finally {
        await engine.close();
      }
    }
  }
}

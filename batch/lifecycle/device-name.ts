import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Device } from "../../shared/graph/engine.ts";

/** Where NVIDIA's driver tells of the GPUs that a container has. */
const GPUS = "/proc/driver/nvidia/gpus";
const MODEL = /^Model:\s*(.+?)\s*$/m;
const MAX_LENGTH = 100;

/** What a job is computed on, as its result says it: `NVIDIA A10G`, `CPU`. Spot may give one kind of GPU today and another tomorrow. */
export async function deviceName(device: Device, gpus = GPUS): Promise<string> {
  if (device === "cpu") return "CPU";
  const [first] = await readdir(gpus).catch(() => []);
  const text = first === undefined ? "" : await readFile(join(gpus, first, "information"), "utf8").catch(() => "");
  return MODEL.exec(text)?.[1]?.slice(0, MAX_LENGTH) ?? "unknown GPU";
}

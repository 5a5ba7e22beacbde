import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Device } from "../../shared/graph/engine.ts";

const QUERY = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];

/** Bytes that are in use: of the GPU as its driver says it, of this process on the CPU; undefined where nobody says. */
export async function deviceMemory(device: Device): Promise<number | undefined> {
  if (device === "cpu") return process.memoryUsage.rss();
  const { stdout } = await promisify(execFile)("nvidia-smi", QUERY).catch(() => ({ stdout: "" }));
  const mebibytes = Number.parseFloat(stdout);
  return Number.isNaN(mebibytes) ? undefined : mebibytes * 1024 ** 2;
}

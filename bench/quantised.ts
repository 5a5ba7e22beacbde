import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { exists } from "../shared/data/files.ts";

const CLI = join(import.meta.dirname, "../client/main.ts");

/** A published model with quantised weights, its head too if that is wanted; made beside it when it is wanted first. */
export async function quantised(published: string, weights: string, head = false): Promise<string> {
  const folder = `${published}-${weights}${head ? "-head" : ""}`;
  if (await exists(folder)) return folder;
  const home = await mkdtemp(join(tmpdir(), "bench-home-"));
  const args = [
    CLI,
    "quantise",
    "--model",
    published,
    "--weights",
    weights,
    ...(head ? ["--head"] : []),
    "--out",
    folder,
  ];
  await promisify(execFile)(process.execPath, args, { env: { ...process.env, SOFTPOST_HOME: home } });
  await rm(home, { recursive: true });
  return folder;
}

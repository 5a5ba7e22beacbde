import { lstat, mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { hashFile } from "../../shared/data/model-files.ts";
import { downloadTo } from "../../shared/data/resumable.ts";
import { writeProblem } from "../../shared/data/write-problem.ts";
import type { FileRecord } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { freeName } from "../out-folder.ts";
import { problemOf, type Transport } from "./transport.ts";

const TITLE = "The download failed";

export interface Download {
  /** The file's path in the API. */
  readonly path: string;
  readonly file: FileRecord;
}

/**
 * Downloads files into a new folder, which appears when all of them are there and their digests are right. An interrupted download
 * goes on where it ended, also in a later run.
 *
 * @param onBytes called with the bytes that came, files from an earlier run included
 * @throws ProblemError if something is there that isn't an empty folder, the folder can't be written, the provider can't be reached or a digest is wrong
 */
export async function downloadFolder(
  api: Transport,
  downloads: readonly Download[],
  out: string,
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const target = resolve(out);
  await requireFree(target, out);
  const parent = dirname(target);
  const partial = join(parent, `.${basename(target)}.partial`);
  await attempt(`--out ${out}`, parent, () => mkdir(partial, { recursive: true }));
  for (const { path, file } of downloads) {
    await downloadFile(api, path, file, join(partial, file.name), onBytes, signal);
  }
  // What an earlier download of something else has left there.
  const wanted = new Set(downloads.map(({ file }) => file.name));
  for (const name of await readdir(partial)) if (!wanted.has(name)) await rm(join(partial, name));
  await attempt(`What came is whole in ${partial}, but --out ${out}`, parent, async () => {
    // Whatever came there meanwhile stays: this only removes an empty folder.
    await rmdir(target).catch(unlessAbsent);
    await rename(partial, target);
  });
}

/** @throws ProblemError unless nothing is there, or an empty folder */
async function requireFree(target: string, out: string): Promise<void> {
  const isFree = await attempt(`--out ${out}`, dirname(target), async () => {
    const found = await lstat(target).catch(unlessAbsent);
    return !found || (found.isDirectory() && (await readdir(target)).length === 0);
  });
  if (isFree) return;
  throw new ProblemError(TITLE, `--out ${out} is there already. A free name: --out ${await freeName(out)}`);
}

function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/** Turns a file system's refusal to make a folder in another into a problem. */
function attempt<T>(what: string, inside: string, run: () => Promise<T>): Promise<T> {
  return run().catch((error) => {
    throw writeProblem(error, what, TITLE, { inside });
  });
}

async function downloadFile(
  api: Transport,
  path: string,
  file: FileRecord,
  to: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  if ((await hashFile(to).catch(() => undefined))?.sha256 === file.sha256) return onBytes(file.size);
  const part = `${to}.${file.sha256.slice(0, 16)}`;
  const request = (from: number) => {
    const range = from > 0 ? { range: `bytes=${from}-`, "if-range": `"${file.sha256}"` } : {};
    return api.send(path, { headers: { "accept-encoding": "identity", ...range }, ...(signal && { signal }) });
  };
  const digest = { kind: "sha256", hex: file.sha256 } as const;
  const remote = { name: path, size: file.size, digest, request, refusal: problemOf };
  await downloadTo(part, remote, onBytes, signal);
  await rename(part, to);
}

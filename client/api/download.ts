import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import type { FileRecord } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Api } from "./api.ts";

const TITLE = "The download failed";
/** A connection may break on a long way; each of these goes on where the last one ended. */
const TRIES = 5;

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
 * @throws ProblemError if the folder holds something, the provider can't be reached or a digest is wrong
 */
export async function downloadFolder(
  api: Api,
  downloads: readonly Download[],
  out: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const target = resolve(out);
  if ((await readdir(target).catch(() => [])).length > 0) {
    throw new ProblemError(TITLE, `--out ${out} is there already. Name another folder or remove it.`);
  }
  const partial = join(dirname(target), `.${basename(target)}.partial`);
  await mkdir(partial, { recursive: true });
  for (const { path, file } of downloads) await downloadFile(api, path, file, join(partial, file.name), onBytes);
  // What an earlier download of something else has left there.
  const wanted = new Set(downloads.map(({ file }) => file.name));
  for (const name of await readdir(partial)) if (!wanted.has(name)) await rm(join(partial, name));
  await rm(target, { recursive: true, force: true });
  await rename(partial, target);
}

async function downloadFile(
  api: Api,
  path: string,
  file: FileRecord,
  to: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  if ((await digestOf(to)) === file.sha256) return onBytes(file.size);
  // Named after its content: a part of another version is not continued.
  const part = `${to}.${file.sha256.slice(0, 16)}`;
  onBytes((await stat(part).catch(() => undefined))?.size ?? 0);
  for (let attempt = 1; !(await fetchRest(api, path, file, part, onBytes)); attempt++) {
    if (attempt === TRIES) throw new ProblemError(TITLE, `${path} breaks off again and again.`, { status: 503 });
  }
  const digest = await digestOf(part);
  if (digest !== file.sha256) {
    await rm(part);
    const detail = `${path} has the digest ${digest}; the provider's list says ${file.sha256}. It was removed.`;
    throw new ProblemError(TITLE, detail, { status: 502 });
  }
  await rename(part, to);
}

/** Appends what is missing of a file; false if the connection broke before its end. */
async function fetchRest(
  api: Api,
  path: string,
  file: FileRecord,
  part: string,
  onBytes: (bytes: number) => void,
): Promise<boolean> {
  await using handle = await open(part, "a");
  const { size: have } = await handle.stat();
  if (have === file.size) return true;
  if (have > file.size) {
    await handle.truncate(0);
    return false;
  }
  const headers = have === 0 ? {} : { range: `bytes=${have}-`, "if-range": `"${file.sha256}"` };
  const response = await api.request(path, { headers });
  // A provider that ignores the range sends it all.
  if (have > 0 && response.status !== 206) await handle.truncate(0);
  let size = response.status === 206 ? have : 0;
  try {
    for await (const chunk of response.body!) {
      size += chunk.length;
      if (size > file.size) throw new ProblemError(TITLE, `${path} is longer than the provider's list says.`);
      await handle.writeFile(chunk);
      onBytes(chunk.length);
    }
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    return false;
  }
  return size === file.size;
}

async function digestOf(path: string): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash);
    return hash.digest("hex");
  } catch {
    return undefined;
  }
}

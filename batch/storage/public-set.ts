import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { countTexts, textsOf } from "../../shared/data/jsonl.ts";
import { hashFile } from "../../shared/data/model-files.ts";
import { isJsonLines, ROW_ENDINGS } from "../../shared/data/rows/open.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import { catalogueName, type PublicSet } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Bucket } from "./bucket.ts";

/**
 * Uploads a public set; nobody sees it until its record is in the catalogue. JSON lines go up as they are, so that the digest is that of the provider's file; of another
 * file of rows its texts do, as JSON lines.
 *
 * @throws ProblemError if a row isn't valid, if there is none, or if the file's name can't be the set's
 */
export async function uploadPublicSet(
  store: Bucket,
  { file, description }: { file: string; description: string },
): Promise<PublicSet> {
  const id = catalogueName(basename(file).replace(ROW_ENDINGS, ""));
  const examples = await countTexts(file);
  if (examples === 0) throw new ProblemError("The public set is empty", `${file} has no texts.`, { status: 422 });
  const folder = await mkdtemp(join(tmpdir(), "softpost-public-"));
  try {
    const lines = (await isJsonLines(file)) ? file : await asJsonLines(file, join(folder, "texts.jsonl"));
    const { size, sha256 } = await hashFile(lines);
    if (!(await store.has(bucket.publicSet(sha256)))) await store.upload(lines, bucket.publicSet(sha256), sha256);
    return { id, digest: sha256, size, examples, description, retired: false };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function asJsonLines(file: string, path: string): Promise<string> {
  const lines = async function* () {
    for await (const text of textsOf(file)) yield `${JSON.stringify({ text })}\n`;
  };
  await pipeline(Readable.from(lines()), createWriteStream(path));
  return path;
}

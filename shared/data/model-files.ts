import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ProblemError } from "../protocol/errors.ts";
import { isModelFile, modelDigest, TOKENIZER_EXTRAS } from "../protocol/model-digest.ts";
import { readBytes } from "./files.ts";
import { MAX_TOKENIZER_BYTES } from "./tokenizer/files.ts";

export interface HashedFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
}

/** SHA-256 and size of a file of any size, read as a stream. */
export async function hashFile(path: string): Promise<Omit<HashedFile, "name">> {
  const hash = createHash("sha256");
  let size = 0;
  await pipeline(createReadStream(path), async (chunks: AsyncIterable<Buffer>) => {
    for await (const chunk of chunks) {
      hash.update(chunk);
      size += chunk.length;
    }
  });
  return { size, sha256: hash.digest("hex") };
}

/**
 * The files that make a model, by name, and the model's digest.
 *
 * @param hash where digests come from: the files' bytes, or records of them (digest-records.ts)
 * @throws ProblemError if the folder can't be read
 */
export async function hashModel(
  folder: string,
  hash: (path: string) => Promise<Omit<HashedFile, "name">> = hashFile,
): Promise<{ files: HashedFile[]; digest: string }> {
  try {
    const names = (await readdir(folder)).filter(isModelFile).sort();
    const files = await Promise.all(names.map(async (name) => ({ name, ...(await hash(join(folder, name))) })));
    return { files, digest: await modelDigest(files) };
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause)) throw cause;
    throw new ProblemError("The model can't be read", `${folder} can't be read (${cause.code}).`, { cause });
  }
}

/**
 * Copies a model's tokenizer into another model's folder.
 *
 * @throws ProblemError if the first has no tokenizer.json or it can't be read
 */
export async function copyTokenizer(from: string, to: string): Promise<void> {
  const present = new Set(await readdir(from));
  for (const name of ["tokenizer.json", ...TOKENIZER_EXTRAS.filter((file) => present.has(file))]) {
    await writeFile(join(to, name), await readBytes(join(from, name), MAX_TOKENIZER_BYTES));
  }
}

import { createHash } from "node:crypto";
import { open, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
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

/** Bytes that are read at a time. */
const PIECE = 2 ** 20;

/** SHA-256 and size of a file of any size, read piece by piece into the same memory: a stream's pieces are garbage that counts as the process's peak. */
export async function hashFile(path: string): Promise<Omit<HashedFile, "name">> {
  const hash = createHash("sha256");
  await using file = await open(path);
  const piece = new Uint8Array(PIECE);
  for (let size = 0; ; ) {
    const { bytesRead } = await file.read(piece);
    if (bytesRead === 0) return { size, sha256: hash.digest("hex") };
    hash.update(piece.subarray(0, bytesRead));
    size += bytesRead;
  }
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
    const { code, path = folder } = cause as NodeJS.ErrnoException;
    // The folder lists it, so it is there: as a link.
    const dangling = code === "ENOENT" && path !== folder;
    const why = dangling ? "is a link to a file that isn't there" : `can't be read (${code})`;
    throw new ProblemError("The model can't be read", `${path} ${why}.`, { cause });
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

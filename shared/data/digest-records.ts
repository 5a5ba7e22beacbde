import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type HashedFile, hashFile } from "./model-files.ts";

/**
 * A file that was changed so short a time ago may be changed once more without a trace: the coarsest clocks of file systems count
 * two seconds.
 */
const SETTLED_MS = 2000;

const recordSchema = z.strictObject({
  identity: z.string(),
  size: z.int().nonnegative(),
  sha256: z.hex().length(64),
  /** When the file's bytes were read, in milliseconds. */
  read: z.number(),
});
type DigestRecord = z.output<typeof recordSchema>;

/**
 * Digests of large files that were computed once, so that a model is not read whole at every start. A record counts only for the very file that was
 * hashed: same path, size, inode, and times of its last change in nanoseconds. Records are never taken from the folder of a model,
 * which may come from anybody.
 */
export class DigestRecords {
  readonly #folder: string;
  readonly #verify: boolean;
  readonly #maxAge: number;

  /**
   * @param folder where records are kept; it is made when the first one is
   * @param options.verify hash always, and replace what is recorded
   * @param options.maxAge milliseconds that a record counts for: a bit that flips in a file leaves no other trace
   */
  constructor(folder: string, { verify = false, maxAge = Number.POSITIVE_INFINITY } = {}) {
    this.#folder = folder;
    this.#verify = verify;
    this.#maxAge = maxAge;
  }

  /** SHA-256 and size of a file: as recorded if it is the file that was hashed before, else from its bytes. */
  readonly hash = async (path: string): Promise<Omit<HashedFile, "name">> => {
    const before = await identityOf(path);
    const known = this.#verify ? undefined : await this.#read(path);
    if (known?.identity === before && this.#isFresh(known)) return { size: known.size, sha256: known.sha256 };
    const hashed = await hashFile(path);
    await this.keep(path, hashed, before);
    return hashed;
  };

  /**
   * Records a digest that was computed from a file's bytes, as a download does.
   * @param identity of the file before its bytes were read; left out where nobody else can have changed it since
   */
  async keep(path: string, { size, sha256 }: Omit<HashedFile, "name">, identity?: string): Promise<void> {
    const now = await identityOf(path);
    if (identity !== undefined && (identity !== now || Date.now() - (await stat(path)).mtimeMs < SETTLED_MS)) return;
    const record: DigestRecord = { identity: now, size, sha256, read: Date.now() };
    const partial = join(this.#folder, `${randomUUID()}.writing`);
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFile(partial, JSON.stringify(record), { mode: 0o600 });
      await rename(partial, await this.#pathOf(path));
    } catch (error) {
      // A home that is full or read-only costs time, nothing else.
      if (!(error instanceof Error && "code" in error)) throw error;
      await rm(partial, { force: true }).catch(() => {});
    }
  }

  #isFresh({ read }: DigestRecord): boolean {
    const age = Date.now() - read;
    // A clock that was set back is no reason to believe a file for longer.
    return age >= 0 && age < this.#maxAge;
  }

  async #read(path: string): Promise<DigestRecord | undefined> {
    const text = await readFile(await this.#pathOf(path), "utf8").catch(() => "");
    try {
      return recordSchema.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined;
    }
  }

  /** One file a record, so that processes that write at once don't meet. */
  async #pathOf(path: string): Promise<string> {
    const name = createHash("sha256")
      .update(await realpath(path))
      .digest("hex");
    return join(this.#folder, `${name}.json`);
  }
}

/** What changes whenever a file does. */
async function identityOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(" ");
}

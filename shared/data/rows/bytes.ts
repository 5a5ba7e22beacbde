import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { ProblemError } from "../../protocol/errors.ts";
import { refuseLfsPointer } from "../../protocol/lfs.ts";
import { notUtf8Text } from "../text-encoding.ts";
import { TITLE } from "./row.ts";

/** Text is seldom compressed to a tenth. What grows more than this, beyond what anybody's memory can hold, was made to fill it. */
const MAX_GROWTH = 250;
const HARMLESS_BYTES = 16 * 1024 * 1024;

/**
 * The bytes of a text file, uncompressed if it is compressed with gzip.
 *
 * @throws ProblemError if it can't be read, is no UTF-8 text by its first bytes, or grows out of all proportion
 */
export async function* textBytes(path: string): AsyncGenerator<Buffer> {
  const isCompressed = await beginsAs(path, GZIP);
  const file = createReadStream(path);
  const text = isCompressed ? file.pipe(createGunzip()) : file;
  file.on("error", (error) => text.destroy(error));
  let written = 0;
  try {
    for await (const chunk of text as AsyncIterable<Buffer>) {
      if (written === 0) refuseOtherFormats(chunk, path);
      written += chunk.length;
      if (written > HARMLESS_BYTES && written > MAX_GROWTH * file.bytesRead) {
        const detail = `${path} grows to more than ${MAX_GROWTH} times its size when it is uncompressed: no text does.`;
        throw new ProblemError(TITLE, detail, { status: 422 });
      }
      yield chunk;
    }
  } catch (cause) {
    throw cause instanceof ProblemError ? cause : unreadable(path, cause);
  } finally {
    file.destroy();
  }
}

const GZIP = Buffer.of(0x1f, 0x8b);

/** Whether a file begins with some bytes. @throws ProblemError if it can't be read */
export async function beginsAs(path: string, bytes: Buffer): Promise<boolean> {
  const file = await open(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    const { buffer } = await file.read(Buffer.alloc(bytes.length), 0, bytes.length, 0);
    return buffer.equals(bytes);
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    await file.close();
  }
}

/** What the system says of a file, as a problem; anything else as it is. */
function unreadable(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error && "code" in cause)) return cause;
  return new ProblemError(TITLE, `${path} can't be read (${cause.code}).`, { cause });
}

/** @throws ProblemError if a file's first bytes show that it is no UTF-8 text, or a Git LFS pointer */
function refuseOtherFormats(start: Uint8Array, path: string): void {
  refuseLfsPointer(start, path, TITLE);
  const reason = notUtf8Text(start);
  if (reason !== undefined) throw new ProblemError(TITLE, `${path} ${reason}.`, { status: 422 });
}

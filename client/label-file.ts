import { createHash } from "node:crypto";
import { appendFileSync, createReadStream, createWriteStream, existsSync } from "node:fs";
import { rename, rm, truncate, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { ProblemError } from "../shared/protocol/errors.ts";

const TITLE = "The labels can't be written";

/** A file of rows that is there when all of them are. */
export interface LabelFile {
  /** Rows that an earlier run has written. */
  readonly done: number;
  append(rows: readonly unknown[]): void;
  /** Gives it its name. */
  finish(): Promise<void>;
}

/** What a file's rows are of. */
export interface Labelled {
  readonly model: string;
  /** How many texts, and what is known of them. */
  readonly texts: number;
  readonly digest: string;
}

/** How many texts there are, and the SHA-256 of their JSON array. */
export async function digestTexts(texts: AsyncIterable<string>): Promise<Pick<Labelled, "texts" | "digest">> {
  const hash = createHash("sha256");
  let count = 0;
  for await (const text of texts) hash.update(`${count++ === 0 ? "[" : ","}${JSON.stringify(text)}`);
  return { texts: count, digest: hash.update(count === 0 ? "[]" : "]").digest("hex") };
}

/**
 * Opens the file of labels, or goes on with an unfinished one: it lies beside it, and begins with what it is of, so that rows of other texts or another
 * model aren't mixed in.
 *
 * @throws ProblemError if it is there already, an unfinished one is and this isn't its resumption, or it is of something else
 */
export async function openLabelFile(
  out: string,
  { model, texts, digest }: Labelled,
  { resume }: { readonly resume: boolean },
): Promise<LabelFile> {
  const target = resolve(out);
  const partial = join(dirname(target), `.${basename(target)}.unfinished`);
  const head = `${JSON.stringify({ model, texts, digest })}\n`;
  if (existsSync(target))
    throw new ProblemError(TITLE, `--out ${out} is there already. Name another file or remove it.`);
  const begun = existsSync(partial);
  if (begun && !resume) {
    const detail = `${partial} is the state of an unfinished run. Go on with --resume, or remove it to start anew.`;
    throw new ProblemError(TITLE, detail);
  }
  const done = begun ? await wholeRows(partial, head) : 0;
  if (!begun) await attempt(partial, () => writeFile(partial, head, { mode: 0o600 }));
  return {
    done,
    append: (more) => {
      const lines = more.map((row) => `${JSON.stringify(row)}\n`).join("");
      try {
        appendFileSync(partial, lines);
      } catch (cause) {
        throw unwritten(partial, cause);
      }
    },
    async finish() {
      const whole = `${partial}.whole`;
      await attempt(target, async () => {
        const rows = createReadStream(partial, { start: Buffer.byteLength(head) });
        await pipeline(rows, createWriteStream(whole, { mode: 0o600 }));
        await rename(whole, target);
        await rm(partial);
      });
    },
  };
}

/** Cuts off a row that isn't whole. @returns how many there are. @throws ProblemError if the file is of something else */
async function wholeRows(path: string, head: string): Promise<number> {
  const expected = Buffer.from(head);
  const start: Buffer[] = [];
  let [size, end, lines] = [0, 0, 0];
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    if (size < expected.length) start.push(chunk);
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) {
      lines += 1;
      end = size + at + 1;
    }
    size += chunk.length;
  }
  if (!Buffer.concat(start).subarray(0, expected.length).equals(expected)) {
    throw new ProblemError(TITLE, `${path} is of other texts or another model. Remove it to start anew.`);
  }
  if (end < size) await attempt(path, () => truncate(path, end));
  return lines - 1;
}

async function attempt(path: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    throw unwritten(path, cause);
  }
}

function unwritten(path: string, cause: unknown): ProblemError {
  const { code } = cause as NodeJS.ErrnoException;
  return new ProblemError(TITLE, `${path} can't be written (${code}).`, { cause });
}

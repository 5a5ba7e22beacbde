import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
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

/**
 * Opens the file of labels, or goes on with an unfinished one: it lies beside it, and begins with what it is of, so that rows of other texts or another
 * model aren't mixed in.
 *
 * @throws ProblemError if it is there already, an unfinished one is and this isn't its resumption, or it is of something else
 */
export async function openLabelFile(
  out: string,
  { model, texts, resume }: { readonly model: string; readonly texts: readonly string[]; readonly resume: boolean },
): Promise<LabelFile> {
  const target = resolve(out);
  const partial = join(dirname(target), `.${basename(target)}.unfinished`);
  const digest = createHash("sha256").update(JSON.stringify(texts)).digest("hex");
  const head = `${JSON.stringify({ model, texts: texts.length, digest })}\n`;
  if (existsSync(target))
    throw new ProblemError(TITLE, `--out ${out} is there already. Name another file or remove it.`);
  const begun = existsSync(partial);
  if (begun && !resume) {
    const detail = `${partial} is the state of an unfinished run. Go on with --resume, or remove it to start anew.`;
    throw new ProblemError(TITLE, detail);
  }
  const rows = begun ? readRows(partial, head) : [];
  attempt(partial, () => writeFileSync(partial, head + rows.join(""), { mode: 0o600 }));
  return {
    done: rows.length,
    append: (more) =>
      attempt(partial, () => appendFileSync(partial, more.map((row) => `${JSON.stringify(row)}\n`).join(""))),
    async finish() {
      const whole = `${partial}.whole`;
      attempt(target, () => {
        writeFileSync(whole, readRows(partial, head).join(""), { mode: 0o600 });
        renameSync(whole, target);
        rmSync(partial);
      });
    },
  };
}

/** Its rows; one that was cut off is dropped. @throws ProblemError if it is of something else */
function readRows(path: string, head: string): string[] {
  const text = readFileSync(path, "utf8");
  if (!text.startsWith(head)) {
    throw new ProblemError(TITLE, `${path} is of other texts or another model. Remove it to start anew.`);
  }
  return text.slice(head.length).match(/.*\n/g) ?? [];
}

function attempt(path: string, write: () => void): void {
  try {
    write();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new ProblemError(TITLE, `${path} can't be written (${code}).`, { cause });
  }
}

import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { usageRecordSchema } from "../../shared/protocol/usage-report.ts";

/** What is written of a request: ids and counts, and when its ticket expires. The last line of a request counts. */
const entrySchema = usageRecordSchema.extend({
  expires: z.int().positive(),
  /** Reported ones are known until their tickets expire. */
  state: z.enum(["running", "ended", "reported"]),
});

export type Entry = z.output<typeof entrySchema>;

/**
 * Lines on disk of requests that aren't reported yet, and of tickets that were used and haven't expired: a process that was killed
 * knows them when it starts again.
 */
export class Journal {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  }

  /** What is there, by request. A line that a crash cut off is passed over. */
  read(): Map<string, Entry> {
    const entries = new Map<string, Entry>();
    if (!existsSync(this.#path)) return entries;
    for (const line of readFileSync(this.#path, "utf8").split("\n")) {
      const entry = parse(line);
      if (entry) entries.set(entry.request, entry);
    }
    return entries;
  }

  append(entries: readonly Entry[]): void {
    if (entries.length > 0) appendFileSync(this.#path, lines(entries), { mode: 0o600 });
  }

  /** Writes what is left, in place of all that was written. */
  replace(entries: readonly Entry[]): void {
    const partial = `${this.#path}.part`;
    writeFileSync(partial, lines(entries), { mode: 0o600 });
    renameSync(partial, this.#path);
  }
}

function lines(entries: readonly Entry[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

function parse(line: string): Entry | undefined {
  try {
    return entrySchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

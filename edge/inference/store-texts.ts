import { hex } from "../../shared/protocol/bytes-as-text.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { duplicateKeys, MAX_FAULTS, parsedOrUndefined } from "../../shared/protocol/json.ts";
import { MAX_PREDICTION_BYTES } from "../../shared/protocol/prediction.ts";
import { chunksInTime } from "../http/upload.ts";
import type { PromptStore } from "../storage/prompt-store.ts";

const TITLE = "The texts are not valid";
/** Bytes that a row may have for a job (shared/data/rows/row.ts). */
const MAX_LINE = 1024 * 1024;
const encoder = new TextEncoder();

/** Texts that lie in the bucket. */
export interface StoredTexts {
  readonly size: number;
  readonly digest: string;
  readonly examples: number;
}

/**
 * Streams a file of rows `{"text": string}` into the bucket, and checks it on the way: it is never in memory as a whole.
 *
 * @throws ProblemError with the line of every fault, and if its length isn't said or too much, or it comes too slowly. What was stored is then the caller's to remove
 */
export async function storeTexts(store: PromptStore, key: string, request: Request): Promise<StoredTexts> {
  const size = Number(request.headers.get("content-length") ?? Number.NaN);
  if (!Number.isSafeInteger(size) || request.body === null) {
    throw new ProblemError(TITLE, "Send a file with its Content-Length.", { status: 411 });
  }
  if (size > MAX_PREDICTION_BYTES) {
    throw new ProblemError("The body is too large", `At most ${MAX_PREDICTION_BYTES} bytes are taken.`, {
      status: 413,
    });
  }
  const rows = new Rows();
  const digest = new crypto.DigestStream("SHA-256");
  const { readable, writable } = new FixedLengthStream(size);
  const stored = store.putStream(key, readable);
  const sent = copy(chunksInTime(request.body, size), [writable.getWriter(), digest.getWriter()], rows);
  // Both, so that none is left behind whatever the other does.
  const [copied, put] = await Promise.allSettled([sent, stored]);
  if (copied.status === "rejected") throw copied.reason;
  if (put.status === "rejected") {
    throw new ProblemError("The storage can't be reached", "Try again in a moment.", {
      status: 503,
      cause: put.reason,
    });
  }
  const bytes = new Uint8Array(await digest.digest);
  return { size, examples: rows.end(), digest: hex(bytes) };
}

async function copy(
  chunks: AsyncIterable<Uint8Array>,
  writers: readonly WritableStreamDefaultWriter<Uint8Array>[],
  rows: Rows,
): Promise<void> {
  try {
    for await (const chunk of chunks) {
      rows.take(chunk);
      for (const writer of writers) await writer.write(chunk);
    }
    for (const writer of writers) await writer.close();
  } catch (error) {
    for (const writer of writers) await writer.abort(error).catch(() => {});
    throw error;
  }
}

/** Checks rows as they come. A fault is told by its line and kind, never with the text. */
export class Rows {
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  private readonly faults: { at: string; message: string }[] = [];
  /** The pieces of a line that hasn't ended, and their length: joined once, since a line may come in very many. */
  private rest: string[] = [];
  private length = 0;
  private line = 0;
  private examples = 0;

  /** @throws ProblemError if it isn't UTF-8, or a line doesn't end */
  take(bytes: Uint8Array): void {
    const [first, ...more] = this.decode(bytes).split("\n");
    this.hold(first!);
    for (const begin of more) {
      this.check(this.held());
      this.hold(begin);
    }
    if (this.length > MAX_LINE) throw this.problem([this.fault(this.line + 1, "Is too long.")]);
  }

  /** @returns how many texts there are. @throws ProblemError with all faults, or if there is no text */
  end(): number {
    this.hold(this.decode());
    this.check(this.held());
    if (this.faults.length > 0) throw this.problem(this.faults);
    if (this.examples === 0) throw new ProblemError(TITLE, "There is no row.", { status: 422 });
    return this.examples;
  }

  private hold(piece: string): void {
    this.rest.push(piece);
    this.length += piece.length;
  }

  /** The line that is whole now. */
  private held(): string {
    const line = this.rest.join("");
    this.rest = [];
    this.length = 0;
    return line;
  }

  private check(line: string): void {
    this.line += 1;
    if (line.trim() === "" || this.faults.length >= MAX_FAULTS) return;
    const message = faultOf(line);
    if (message === undefined) this.examples += 1;
    else this.faults.push(this.fault(this.line, message));
  }

  private decode(bytes?: Uint8Array): string {
    try {
      return bytes ? this.decoder.decode(bytes, { stream: true }) : this.decoder.decode();
    } catch (cause) {
      throw new ProblemError(TITLE, `It is not UTF-8 text, after line ${this.line}.`, { status: 422, cause });
    }
  }

  private fault(line: number, message: string) {
    return { at: `body:${line}`, message };
  }

  private problem(faults: { at: string; message: string }[]): ProblemError {
    return new ProblemError(TITLE, "Some rows can't be used.", { status: 422, faults });
  }
}

function faultOf(line: string): string | undefined {
  if (encoder.encode(line).length > MAX_LINE) return "Is too long.";
  const row = parsedOrUndefined(line) as { text?: unknown } | null | undefined;
  if (typeof row?.text !== "string") return 'Is no JSON object with a "text" that is a string.';
  return duplicateKeys(line).length > 0 ? "Says a key twice." : undefined;
}

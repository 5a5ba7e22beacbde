import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { readFully } from "../../shared/models/weight-files.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Content } from "../storage/multipart.ts";

const FORMAT = "softpost-checkpoint/1";
/** A header is a few numbers and digests. */
const MAX_HEADER_BYTES = 4096;
const DIGEST_BYTES = 64;
/** Bytes of a state that are hashed at once. */
const PIECE = 2 ** 22;
const NEWLINE = 0x0a;

const headerSchema = z.strictObject({
  format: z.literal(FORMAT),
  /** What makes the run what it is: a state of another run is of no use. */
  run: z.string(),
  /** Steps that are done. */
  step: z.int().nonnegative(),
  /** Device seconds up to here, over all attempts. */
  seconds: z.number().nonnegative(),
});

export type CheckpointFacts = Omit<z.output<typeof headerSchema>, "format">;

/**
 * A checkpoint as an object: the SHA-256 of all that follows, a line of JSON, the state. The state is read as it is asked for.
 * @param state file that the training functions wrote (shared/training/run-state.ts), open until the object is uploaded
 */
export async function encodeCheckpoint({ run, step, seconds }: CheckpointFacts, state: FileHandle): Promise<Content> {
  const header = Buffer.from(`${JSON.stringify({ format: FORMAT, run, step, seconds })}\n`);
  const { size } = await state.stat();
  const hash = createHash("sha256").update(header);
  for (let at = 0; at < size; at += PIECE) hash.update(await readState(state, at, Math.min(PIECE, size - at)));
  const start = Buffer.from(`${hash.digest("hex")}\n${header}`);
  return {
    size: start.length + size,
    async read(position, length) {
      const first = start.subarray(position, position + length);
      const rest = await readState(state, Math.max(0, position - start.length), length - first.length);
      return first.length === 0 ? rest : Buffer.concat([first, rest]);
    },
  };
}

/**
 * Writes the state of a checkpoint into a file. Where it is refused the file holds what nobody may use.
 * @param key the object's, for messages
 * @param run of the job that wants to go on
 * @throws ProblemError if it is damaged, cut off, in another format or of another run
 */
export async function decodeCheckpoint(
  object: AsyncIterable<Uint8Array>,
  { key, run, statePath }: { readonly key: string; readonly run: string; readonly statePath: string },
): Promise<CheckpointFacts> {
  const refuse = (why: string) => new ProblemError("The checkpoint is of no use", `${key} ${why}.`);
  const hash = createHash("sha256");
  await using state = await open(statePath, "w");
  let start: Buffer = Buffer.alloc(0);
  let end = -1;
  for await (const piece of object) {
    let rest = piece;
    if (end < 0) {
      start = Buffer.concat([start, piece]);
      end = headerEnd(start);
      if (end < 0) continue;
      hash.update(start.subarray(DIGEST_BYTES + 1, end));
      rest = start.subarray(end);
    }
    hash.update(rest);
    await state.appendFile(rest);
  }
  const digest = start.toString("latin1", 0, DIGEST_BYTES);
  if (start[DIGEST_BYTES] !== NEWLINE || digest !== hash.digest("hex")) throw refuse("is damaged");
  const header = headerSchema.safeParse(parse(start.subarray(DIGEST_BYTES + 1, end)));
  if (!header.success) throw refuse("is in another format");
  if (header.data.run !== run) throw refuse("is of another run");
  return header.data;
}

/** Where the state begins: after the header's line, or where no header can go on; -1 if more has to be read. */
function headerEnd(start: Buffer): number {
  const longest = DIGEST_BYTES + 1 + MAX_HEADER_BYTES;
  const newline = start.indexOf(NEWLINE, DIGEST_BYTES + 1);
  if (newline >= 0 && newline < longest) return newline + 1;
  return start.length < longest ? -1 : longest;
}

async function readState(state: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await readFully(state, bytes, position);
  return bytes;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

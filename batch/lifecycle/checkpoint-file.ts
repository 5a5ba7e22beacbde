import { createHash } from "node:crypto";
import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";

const FORMAT = "softpost-checkpoint/1";
/** A header is a few numbers and digests. */
const MAX_HEADER_BYTES = 4096;
const DIGEST_BYTES = 64;
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

export interface CheckpointFile extends Omit<z.output<typeof headerSchema>, "format"> {
  /** What the training functions wrote (shared/training/run-state.ts). */
  readonly state: Uint8Array;
}

/** A checkpoint as an object: the SHA-256 of all that follows, a line of JSON, the state. */
export function encodeCheckpoint({ run, step, seconds, state }: CheckpointFile): Uint8Array {
  const header = Buffer.from(`${JSON.stringify({ format: FORMAT, run, step, seconds })}\n`);
  const digest = createHash("sha256").update(header).update(state).digest("hex");
  return Buffer.concat([Buffer.from(`${digest}\n`), header, state]);
}

/**
 * @param key the object's, for messages
 * @param run of the job that wants to go on
 * @throws ProblemError if it is damaged, cut off, in another format or of another run
 */
export function decodeCheckpoint(bytes: Uint8Array, key: string, run: string): CheckpointFile {
  const refuse = (why: string) => new ProblemError("The checkpoint is of no use", `${key} ${why}.`);
  const rest = bytes.subarray(DIGEST_BYTES + 1);
  const digest = Buffer.from(bytes.subarray(0, DIGEST_BYTES)).toString("latin1");
  if (bytes[DIGEST_BYTES] !== NEWLINE || digest !== createHash("sha256").update(rest).digest("hex")) {
    throw refuse("is damaged");
  }
  const end = rest.subarray(0, MAX_HEADER_BYTES).indexOf(NEWLINE);
  const header = headerSchema.safeParse(parse(rest.subarray(0, Math.max(end, 0))));
  if (!header.success) throw refuse("is in another format");
  if (header.data.run !== run) throw refuse("is of another run");
  return { ...header.data, state: rest.subarray(end + 1) };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

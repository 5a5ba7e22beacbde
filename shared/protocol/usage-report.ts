import { z } from "zod";
import { hex } from "./bytes-as-text.ts";
import { ProblemError } from "./errors.ts";
import { hmac, verifyHmac } from "./hmac.ts";

/** Reports that are sent together. */
export const MAX_RECORDS = 1000;
/** A report is tried again with a new time, so an old one is somebody else's copy. */
const MAX_AGE_SECONDS = 300;

/** What a request used, however it ended. */
export const usageRecordSchema = z.strictObject({
  request: z.string().min(16).max(64).describe("The ticket's request: a second record of it counts for nothing."),
  tenant: z.string().min(1).max(64),
  promptTokens: z.int().nonnegative().describe("Of all prompts, soft prompts not counted."),
  completionTokens: z.int().nonnegative().describe("Of all choices."),
});

export type UsageRecord = z.output<typeof usageRecordSchema>;

/** The body of a report from a serving process to the Worker. */
export const usageReportSchema = z.strictObject({ records: z.array(usageRecordSchema).min(1).max(MAX_RECORDS) });

/** The answer (503) to a report of which only a part was taken: the requests whose records are to be sent again. */
export const untakenSchema = z.object({ untaken: z.array(usageRecordSchema.shape.request).min(1).max(MAX_RECORDS) });

export type Untaken = z.output<typeof untakenSchema>;

/** A report's headers. */
export const USAGE_HEADERS = { timestamp: "x-softpost-timestamp", signature: "x-softpost-signature" } as const;

/** What a report's signature is: hexadecimal HMAC-SHA-256 of time, dot and body. No ticket's payload has a dot. */
export async function signUsage(body: string, timestamp: number, secret: string): Promise<string> {
  return hex(await hmac(secret, `${timestamp}.${body}`));
}

/**
 * Refuses a report that this service's process didn't send just now.
 * @param now unix seconds
 * @throws ProblemError 401
 */
export async function verifyUsage(
  body: string,
  { timestamp, signature }: { readonly timestamp: string | undefined; readonly signature: string | undefined },
  secret: string,
  now: number,
): Promise<void> {
  const whole = /^\d{1,12}$/.test(timestamp ?? "") && /^[0-9a-f]{64}$/.test(signature ?? "");
  const bytes = Uint8Array.from(signature?.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  if (!whole || !(await verifyHmac(secret, `${timestamp}.${body}`, bytes))) {
    throw new ProblemError("Not authenticated", "The report's signature is wrong.", { status: 401 });
  }
  if (Math.abs(now - Number(timestamp)) > MAX_AGE_SECONDS) {
    throw new ProblemError("Not authenticated", "The report's time is too far from now.", { status: 401 });
  }
}

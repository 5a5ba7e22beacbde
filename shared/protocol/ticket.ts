import { z } from "zod";
import { base64url } from "./bytes-as-text.ts";
import { nameSchema } from "./catalogue.ts";
import { ProblemError } from "./errors.ts";
import { hmac, verifyHmac } from "./hmac.ts";
import { endpointSchema } from "./inference.ts";
import { digestSchema } from "./manifest.ts";

/** A ticket has some hundred bytes; more is no ticket, and isn't hashed. */
const MAX_TICKET = 4096;

/** What the Worker lets one request have of a serving process. Who has it may send that one body, once, until it expires. */
const ticketSchema = z.strictObject({
  v: z.literal(1),
  request: z.string().min(16).max(64).describe("Names the request in the tenant's ledger; can't be guessed."),
  tenant: z.string().min(1).max(64).describe("Whose budget it is. It says nothing by itself."),
  target: nameSchema.describe("The catalogue's id of the target that the process serves."),
  targetDigest: digestSchema,
  prompt: z
    .strictObject({
      weights: z.string().min(1).max(512).describe("The bucket's key of the transferred prompt's tensor."),
      manifest: z.string().min(1).max(512).describe("The bucket's key of its manifest."),
      sha256: digestSchema.describe("Of the tensor's file."),
      manifestSha256: digestSchema,
    })
    .nullable()
    .describe("Null: the target as it is."),
  endpoint: endpointSchema,
  maxTokens: z.int().nonnegative().describe("Of all prompts and all choices together, soft prompts not counted."),
  body: digestSchema.describe("Of the request's body, byte for byte."),
  expires: z.int().positive().describe("Unix seconds from which on it is refused."),
});

export type Ticket = z.output<typeof ticketSchema>;

/** The text of a ticket: its JSON in base64url, a dot, and the HMAC-SHA-256 of what is before the dot, likewise. */
export async function signTicket(ticket: Ticket, secret: string): Promise<string> {
  const payload = base64url(new TextEncoder().encode(JSON.stringify(ticketSchema.parse(ticket))));
  return `${payload}.${base64url(await hmac(secret, payload))}`;
}

/**
 * The ticket that a text is.
 * @param now unix seconds
 * @throws ProblemError 401 unless it is whole, signed with the secret, and not expired
 */
export async function verifyTicket(text: string, secret: string, now: number): Promise<Ticket> {
  const [payload = "", signature = "", ...rest] = text.length > MAX_TICKET ? [] : text.split(".");
  const signed = fromBase64url(signature);
  if (!signed || rest.length > 0 || !(await verifyHmac(secret, payload, signed))) {
    throw refused("It isn't signed by the service that this process belongs to.");
  }
  const ticket = ticketSchema.safeParse(parse(payload));
  if (!ticket.success) throw refused("It is of another version of softpost.");
  if (now >= ticket.data.expires) throw refused("It has expired.");
  return ticket.data;
}

function refused(detail: string): ProblemError {
  return new ProblemError("The ticket is refused", detail, { status: 401 });
}

function parse(payload: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(fromBase64url(payload)));
  } catch {
    return undefined;
  }
}

/** Undefined for what isn't base64url without padding. */
function fromBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(text) || text.length % 4 === 1) return undefined;
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}

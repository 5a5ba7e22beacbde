import { createHash } from "node:crypto";
import { ProblemError } from "../shared/protocol/errors.ts";
import type { Endpoint } from "../shared/protocol/inference.ts";
import { type Ticket, verifyTicket } from "../shared/protocol/ticket.ts";
import type { Meter, Outbox } from "./usage/outbox.ts";

/** Takes requests with a ticket of the Worker's, once each. */
export class Tickets {
  readonly #secret: string;
  readonly #target: { readonly id: string; readonly digest: string };
  readonly #outbox: Outbox;

  constructor(secret: string, target: { readonly id: string; readonly digest: string }, outbox: Outbox) {
    this.#secret = secret;
    this.#target = target;
    this.#outbox = outbox;
  }

  /**
   * The ticket of a request, before its body is read.
   * @throws ProblemError 401 for one that isn't valid or is for something else
   */
  async check(authorization: string | undefined, endpoint: Endpoint): Promise<Ticket> {
    const [, text] = /^Bearer ([^ ]+)$/i.exec(authorization ?? "") ?? [];
    if (text === undefined) throw refused("Send it as Authorization: Bearer TICKET.");
    const ticket = await verifyTicket(text, this.#secret, Date.now() / 1000);
    if (ticket.endpoint !== endpoint) throw refused("It is for another route.");
    const { target, targetDigest } = ticket;
    if (target !== this.#target.id || targetDigest !== this.#target.digest) throw refused("It is for another target.");
    if (this.#outbox.has(ticket.request)) throw refused("It was used before.");
    return ticket;
  }

  /**
   * Uses a ticket, and begins to count.
   * @throws ProblemError 401 if the body is another one, or it was used meanwhile
   */
  spend({ request, tenant, body, expires }: Ticket, bytes: Uint8Array): Meter {
    if (createHash("sha256").update(bytes).digest("hex") !== body) throw refused("It is for another body.");
    if (this.#outbox.has(request)) throw refused("It was used before.");
    return this.#outbox.open(request, tenant, expires);
  }
}

function refused(detail: string): ProblemError {
  return new ProblemError("The ticket is refused", detail, { status: 401 });
}

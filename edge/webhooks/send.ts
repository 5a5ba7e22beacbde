import { Webhook } from "standardwebhooks";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { type AddressRules, checkAddress } from "./address.ts";

/** A receiver notes what it is told and answers; work comes later. */
const ANSWER_MS = 10_000;

/** What is sent, and where. */
export interface Message {
  readonly id: string;
  readonly url: string;
  readonly secret: string;
  readonly body: string;
}

/** What became of a try; `error` is null if it was taken. */
export interface Outcome {
  readonly status: number | null;
  readonly error: string | null;
}

/**
 * Sends a message once, signed by Standard Webhooks' scheme: `webhook-id`, `webhook-timestamp`, and in `webhook-signature` the HMAC-SHA-256 of
 * both and the body. A receiver refuses a time more than five minutes off, and an id that it has seen.
 */
export async function send({ id, url, secret, body }: Message, rules: AddressRules): Promise<Outcome> {
  try {
    await checkAddress(url, rules);
    const now = new Date();
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
        "webhook-signature": new Webhook(secret).sign(id, now, body),
      },
      body,
      // Elsewhere may be anywhere, also inside.
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    // Whatever it says isn't read.
    await response.body?.cancel();
    const { status } = response;
    if (response.ok) return { status, error: null };
    const redirect = status >= 300 && status < 400;
    return {
      status,
      error: redirect ? "It answered with a redirect, which isn't followed." : `It answered ${status}.`,
    };
  } catch (error) {
    if (error instanceof ProblemError) return { status: null, error: error.detail };
    const late = (error as Error).name === "TimeoutError";
    return { status: null, error: late ? `No answer within ${ANSWER_MS / 1000} s.` : "No connection." };
  }
}

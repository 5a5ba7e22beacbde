import ipaddr from "ipaddr.js";
import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";

/** What deciding about an address needs of the environment. */
export interface AddressRules {
  /** A DNS resolver over HTTPS that answers in JSON. */
  readonly WEBHOOK_RESOLVER: string;
  /** `allowed` lets webhooks lead to this machine: for tests. */
  readonly WEBHOOK_LOOPBACK?: string;
}

const RESOLVE_MS = 5000;
const TITLE = "The webhook's address is not taken";
const LOOPBACK = ["127.0.0.1", "[::1]", "localhost"];

const answerSchema = z.object({ Answer: z.array(z.object({ type: z.int(), data: z.string() })).default([]) });
/** Of RFC 1035 and 3596. */
const RECORDS = { A: 1, AAAA: 28 } as const;

/**
 * Checks that an address is https, and that its name leads to public addresses only. A name may lead elsewhere a moment later: that is why this is
 * asked at every delivery too, and Cloudflare's network reaches no private address whatever a name says.
 *
 * @throws ProblemError (422) with the reason, (503) if the name can't be looked up
 */
export async function checkAddress(text: string, rules: AddressRules): Promise<void> {
  const url = new URL(text);
  const name = url.hostname;
  if (url.username !== "" || url.password !== "") throw refused("It must have no user and no password.");
  if (rules.WEBHOOK_LOOPBACK === "allowed" && LOOPBACK.includes(name)) return;
  if (url.protocol !== "https:") throw refused("It must begin with https.");
  const literal = name.replace(/^\[|\]$/g, "");
  const addresses = ipaddr.isValid(literal) ? [literal] : await resolve(name, rules.WEBHOOK_RESOLVER);
  if (addresses.length === 0) throw refused(`The name ${name} leads nowhere.`);
  const inside = addresses.find((address) => !isPublic(address));
  if (inside !== undefined) throw refused(`${name} leads to ${inside}, which is no public address.`);
}

/** Whether an address is one of the public internet; addresses that stand for another (mapped, 6to4, NAT64) aren't taken. */
export function isPublic(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.parse(address).range() === "unicast";
}

async function resolve(name: string, resolver: string): Promise<string[]> {
  const ask = async (type: keyof typeof RECORDS): Promise<string[]> => {
    const query = new URLSearchParams({ name, type });
    const headers = { accept: "application/dns-json" };
    const response = await fetch(`${resolver}?${query}`, { headers, signal: AbortSignal.timeout(RESOLVE_MS) });
    if (!response.ok) throw new Error(`The resolver answered ${response.status}`);
    const { Answer } = answerSchema.parse(await response.json());
    return Answer.flatMap((answer) => (answer.type === RECORDS[type] ? [answer.data] : []));
  };
  try {
    return (await Promise.all([ask("A"), ask("AAAA")])).flat();
  } catch (cause) {
    const detail = `The name ${name} can't be looked up at the moment; try again.`;
    throw new ProblemError(TITLE, detail, { status: 503, cause });
  }
}

function refused(detail: string): ProblemError {
  return new ProblemError(TITLE, detail, { status: 422, faults: [{ at: "body#/url", message: detail }] });
}

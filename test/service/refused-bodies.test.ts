/**
 * An answer that overtakes its request's body closes the connection under a client that still writes, which then sees a broken pipe and no
 * answer. So every refusal must come after the body, on a connection that goes on.
 */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { ADMIN, type Provider, startProvider, type TenantClient } from "./provider.ts";

let provider: Provider;
let reader: TenantClient;
let submitter: TenantClient;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  await provider.define(["true"]);
  reader = await provider.tenant({}, ["read"]);
  submitter = await provider.tenant();
});

afterAll(() => provider.close());

/** More than every buffer between here and there; above it is less than what is drained. */
const BODY = Buffer.alloc(3_000_000, "x");
const LARGE = Buffer.alloc(6_000_000, "x");

interface Case {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: () => Record<string, string>;
  readonly body?: Buffer;
}

const multipart = { "content-type": "multipart/form-data; boundary=x" };

test.each<[number, string, Case]>([
  [401, "no key", {}],
  [401, "a wrong admin secret", { path: "/v1/admin/tenants", headers: () => ({ authorization: "Bearer wrong" }) }],
  [403, "a key without the scope", { headers: () => ({ ...reader.headers, ...multipart }) }],
  [404, "no such route", { path: "/v1/none", headers: () => submitter.headers }],
  [
    404,
    "no such transfer",
    { method: "DELETE", path: `/v1/transfers/${"a".repeat(16)}`, headers: () => submitter.headers },
  ],
  [413, "a body that says it is too large", { headers: () => ({ ...submitter.headers, ...multipart }), body: LARGE }],
  [
    413,
    "a body that turns out to be too large",
    { headers: () => ({ ...submitter.headers, ...multipart, "transfer-encoding": "chunked" }), body: LARGE },
  ],
  [413, "a large tenant", { path: "/v1/admin/tenants", headers: () => ADMIN }],
  [415, "another media type", { headers: () => ({ ...submitter.headers, "content-type": "text/plain" }) }],
  [400, "no multipart body", { headers: () => ({ ...submitter.headers, ...multipart }) }],
  [413, "a large event", { path: "/internal/jobs/none/events" }],
])(
  "%i for %s comes after the body",
  async (status, _, { method = "POST", path = "/v1/transfers", headers, body = BODY }) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const refused = await send(agent, { method, path, headers: headers?.() ?? {}, body });
    expect([refused.status, refused.headers["content-type"]]).toEqual([status, "application/problem+json"]);
    // The connection goes on.
    const next = await send(agent, { method: "GET", path: "/v1/budget", headers: submitter.headers });
    expect([next.status, next.reused]).toEqual([200, true]);
    agent.destroy();
  },
);

/** Sends a request whose body comes in two parts, with time for a hasty answer between them. */
async function send(
  agent: Agent,
  { method, path, headers, body }: { method: string; path: string; headers: Record<string, string>; body?: Buffer },
): Promise<{ status: number | undefined; headers: IncomingHttpHeaders; reused: boolean }> {
  const length = body && !("transfer-encoding" in headers) ? { "content-length": body.length } : {};
  const sending = request(provider.url + path, { agent, method, headers: { ...headers, ...length } });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sending.once("response", resolve).once("error", reject);
  });
  if (body) {
    sending.write(body.subarray(0, 1000));
    await setTimeout(50);
    sending.write(body.subarray(1000));
  }
  sending.end();
  const answer = await answered;
  await answer.resume().toArray();
  return { status: answer.statusCode, headers: answer.headers, reused: sending.reusedSocket };
}

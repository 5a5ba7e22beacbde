/** A serving process for tests, at the wire: it checks tickets, answers what it is told to, and reports what was used. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Ticket, verifyTicket } from "../../shared/protocol/ticket.ts";
import { signUsage, USAGE_HEADERS, type UsageRecord } from "../../shared/protocol/usage-report.ts";
import { SERVING_SECRET } from "./provider.ts";

const now = () => Math.floor(Date.now() / 1000);

/** Sends a report as a serving process does. */
export async function report(url: string, records: readonly UsageRecord[], secret = SERVING_SECRET, at = now()) {
  const body = JSON.stringify({ records });
  return fetch(`${url}/internal/usage`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      [USAGE_HEADERS.timestamp]: String(at),
      [USAGE_HEADERS.signature]: await signUsage(body, at, secret),
    },
    body,
  });
}

export interface Seen {
  readonly ticket: Ticket;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export async function startDouble() {
  const state = {
    /** The Worker; set once it runs. */
    reportUrl: "",
    promptTokens: 4,
    /** Chunks of an answer, each a token. */
    tokens: 3,
    pauseMs: 0,
    /** Answers with this status in place of an answer. */
    refuse: undefined as number | undefined,
    /** So many requests are answered before. */
    refuseAfter: undefined as number | undefined,
    /** Whether it ends without a report. */
    silent: false,
    seen: [] as Seen[],
    /** Tokens made by each request that has ended. */
    ended: new Map<string, number>(),
  };
  const server = createServer((request, response) => void answer(request, response, state));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Ends as a killed process does. */
    kill: () => server.closeAllConnections(),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

export type Double = Awaited<ReturnType<typeof startDouble>>;
type State = Omit<Double, "url" | "kill" | "close">;

async function answer(request: IncomingMessage, response: ServerResponse, state: State): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const ticket = await verifyTicket((request.headers.authorization ?? "").slice(7), SERVING_SECRET, now());
  if (ticket.body !== createHash("sha256").update(body).digest("hex")) throw new Error("The body is another one.");
  state.seen.push({ ticket, headers: request.headers, body: body.toString() });
  if (state.refuse !== undefined && state.seen.length > (state.refuseAfter ?? 0)) {
    const error = { message: "No.", type: "server_error", param: null, code: null };
    response.writeHead(state.refuse, { "content-type": "application/json", "retry-after": "7" });
    response.end(JSON.stringify({ error }));
    return;
  }
  const { stream = false, input } = JSON.parse(body.toString());
  response.writeHead(200, { "content-type": stream ? "text/event-stream" : "application/json" });
  // What isn't streamed has no headers either until it is whole.
  if (stream) response.flushHeaders();
  let made = 0;
  while (made < state.tokens && !response.destroyed) {
    if (state.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, state.pauseMs));
    if (response.destroyed) break;
    made += 1;
    const finish_reason = made === state.tokens ? "length" : null;
    const choices = [{ index: 0, text: ` t${made}`, finish_reason }];
    if (stream) response.write(`data: ${JSON.stringify({ choices })}\n\n`);
  }
  const texts: string[] = input === undefined ? [] : [input].flat();
  // A text's own label is the text.
  const data = texts.map((label, index) => ({ index, label, probabilities: { [label]: 1 } }));
  const usage = {
    prompt_tokens: state.promptTokens,
    completion_tokens: made,
    total_tokens: state.promptTokens + made,
  };
  response.end(stream ? "data: [DONE]\n\n" : JSON.stringify({ object: "list", model: "double", data, usage }));
  state.ended.set(ticket.request, made);
  if (state.silent) return;
  const { request: id, tenant } = ticket;
  const record = { request: id, tenant, promptTokens: state.promptTokens, completionTokens: made };
  // Until the Worker takes it: it may be starting.
  for (let tries = 0; tries < 100; tries++) {
    const taken = await report(state.reportUrl, [record]).catch(() => undefined);
    if (taken?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

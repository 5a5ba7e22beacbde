import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ClientException, operations } from "./api.ts";
import { type AfterAttempt, Runner } from "./runner.ts";
import { Store } from "./store.ts";

/** Requests are a name and a few parameters; AWS allows 30 kB of overrides. */
const MAX_BODY = 256 * 1024;

/** On loopback an answer takes milliseconds. */
const ANSWER_MS = 5000;

export interface BatchOptions {
  /** Where jobs, definitions and logs are kept. */
  readonly folder: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly queue: string;
  /** Jobs that run at once. */
  readonly concurrency: number;
  /** The access key id that callers must sign with. It is as secret as a password here: the signature itself is not checked. */
  readonly accessKeyId: string;
}

export interface Batch {
  readonly url: string;
  /**
   * Starts running jobs, those that an earlier daemon in the same folder left included. What they work with must be there by now.
   *
   * @param afterAttempt is told of every attempt that has ended, before anything else is started
   */
  run(afterAttempt?: AfterAttempt): Promise<void>;
  /** Stops the jobs, so that the next daemon in the same folder resumes them. */
  close(): Promise<void>;
}

/**
 * AWS Batch on one machine: speaks as much of its HTTP API as an unmodified @aws-sdk/client-batch needs, and runs jobs as child
 * processes. It runs commands, so it listens on loopback only and asks for the access key id: a page in a browser can reach
 * loopback, but can't send that header.
 */
export async function startBatch(options: BatchOptions): Promise<Batch> {
  const store = new Store(options.folder);
  const runner = new Runner(store, options.concurrency);
  const handlers = operations(store, runner, options.queue);
  const server = createServer((request, response) => {
    answer(request, handlers, options.accessKeyId).then(
      (result) => send(response, 200, result),
      (error) => sendError(response, error),
    );
  });
  await listen(server, options.port);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    run: (afterAttempt) => runner.recover(afterAttempt),
    async close() {
      // The port is kept until the last job has ended: another daemon in the same folder would disturb it.
      await runner.stop();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Whether the daemon at this port of loopback is one that knows the access key id. */
export async function answers(port: number, accessKeyId: string): Promise<boolean> {
  const asked = fetch(`http://127.0.0.1:${port}/v1/describejobs`, {
    method: "POST",
    headers: { authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/` },
    body: '{"jobs":[]}',
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  return asked.then(
    ({ ok }) => ok,
    () => false,
  );
}

async function answer(
  request: IncomingMessage,
  handlers: ReturnType<typeof operations>,
  accessKeyId: string,
): Promise<unknown> {
  if (!hasKey(request.headers.authorization, accessKeyId)) throw new ClientException("The security token is not valid");
  const [, name = ""] = /^\/v1\/([a-z]+)$/.exec(request.url ?? "") ?? [];
  const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined;
  if (!handler || request.method !== "POST")
    throw new ClientException(`${request.method} ${request.url} is not known here`);
  const chunks: Buffer[] = [];
  let size = 0;
  // Not ending the request where reading ends: its connection would break before the answer is out.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new ClientException("The request is too large");
    chunks.push(chunk);
  }
  try {
    return handler(JSON.parse(Buffer.concat(chunks).toString("utf8")));
  } catch (error) {
    if (error instanceof SyntaxError) throw new ClientException("The request is not JSON");
    throw error;
  }
}

function hasKey(header: string | undefined, accessKeyId: string): boolean {
  const [, given = ""] = /Credential=([^/]+)\//.exec(header ?? "") ?? [];
  const [a, b] = [Buffer.from(given), Buffer.from(accessKeyId)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

function sendError(response: ServerResponse, error: unknown): void {
  const mine = error instanceof ClientException;
  const type = mine ? "ClientException" : "ServerException";
  send(response, mine ? 400 : 500, { message: (error as Error).message }, { "x-amzn-errortype": type });
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}

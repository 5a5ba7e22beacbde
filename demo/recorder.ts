import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Recorder {
  /** Where clients reach the provider, on loopback. */
  readonly url: string;
  /** All that they sent so far, in its order. */
  readonly requests: readonly Recorded[];
  close(): void;
}

/** A door in front of a provider that keeps all that clients send. */
export async function startRecorder(target: string): Promise<Recorder> {
  const requests: Recorded[] = [];
  const server = createServer((request, response) => {
    pass(request, response, target, requests).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    requests,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function pass(request: IncomingMessage, response: ServerResponse, target: string, requests: Recorded[]) {
  const body = Buffer.concat(await request.toArray());
  const { method = "", url: path = "", headers } = request;
  requests.push({ method, path, headers, body });
  const { host: _, connection: __, "content-length": ___, "transfer-encoding": ____, ...rest } = headers;
  const init = { method, headers: rest as Record<string, string>, ...(body.length > 0 && { body }) };
  const answer = await fetch(target + path, init);
  response.writeHead(answer.status, {
    "content-type": answer.headers.get("content-type") ?? "",
    "content-range": answer.headers.get("content-range") ?? "",
  });
  for await (const chunk of answer.body ?? []) response.write(chunk);
  response.end();
}

import { createServer, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A proxy on 127.0.0.1 and what it was asked for: `GET http://host/path` or `CONNECT host:port`, and who asked. */
export interface TestProxy {
  readonly url: string;
  readonly asked: string[];
  readonly authorizations: (string | undefined)[];
}

/**
 * @param to where plain requests are taken, whatever host they name: names that end in `.example` exist nowhere else. Tunnels are
 *   refused.
 */
export async function startProxy(to = "http://127.0.0.1:1"): Promise<TestProxy> {
  const asked: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    authorizations.push(request.headers["proxy-authorization"]);
    const { pathname, search } = new URL(request.url!);
    const onward = send(to + pathname + search, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.writeHead(502).end());
    request.pipe(onward);
  });
  server.on("connect", (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    authorizations.push(request.headers["proxy-authorization"]);
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, authorizations };
}

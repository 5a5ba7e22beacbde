import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { closingTokens } from "../shared/data/encode.ts";
import type { OpenModel } from "../shared/operations/open-model.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import { Admission } from "./admission.ts";
import { createApp } from "./api/app.ts";
import { chatTemplate } from "./api/chat-template.ts";
import type { Backend } from "./backend.ts";
import type { Environment } from "./environment.ts";
import { log } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { PromptCache } from "./prompts/prompt-cache.ts";
import type { PromptKey, StoredPrompt } from "./prompts/served-prompt.ts";
import { readyPrompts, type Service } from "./service.ts";
import { Tickets } from "./tickets.ts";
import type { Outbox } from "./usage/outbox.ts";

/** How long a client may take for what is already written. */
const LAST_BYTES_MS = 2000;
/** Longer than the Worker keeps a connection that it doesn't use: who closes it first must not be who is about to be asked. */
const KEEP_ALIVE_MS = 120_000;

/** What a server is made of. */
export interface Parts<P> {
  readonly environment: Environment;
  readonly target: OpenModel;
  readonly backend: Backend<P>;
  readonly fetchPrompt: (key: PromptKey) => Promise<StoredPrompt>;
  readonly outbox: Outbox;
  readonly metrics: Metrics;
}

export interface RunningServer {
  readonly url: string;
  /** Takes no new requests; those that run may finish within the limit. Then everything is closed, and what was used is reported. */
  close(): Promise<void>;
}

/** Starts to listen. @throws ProblemError if the port is taken or the chat template can't be used */
export async function startServer<P>(parts: Parts<P>): Promise<RunningServer> {
  const { environment, target, backend, outbox, metrics, fetchPrompt } = parts;
  const service: Service<P> = {
    target,
    backend,
    metrics,
    prompts: new PromptCache(readyPrompts(fetchPrompt, backend, target), environment.SERVING_PROMPT_BYTES, (hit) =>
      metrics.promptUse(hit),
    ),
    tickets: new Tickets(environment.SERVING_SECRET, target.record, outbox),
    admission: new Admission(environment.SERVING_SLOTS + environment.SERVING_QUEUE),
    renderChat: await chatTemplate(target.folder),
    closingTokens: await closingTokens(target.tokenizer),
    requestMs: environment.SERVING_REQUEST_SECONDS * 1000,
  };
  metrics.watch(() => ({
    requests: service.admission.requests,
    waiting: backend.load.waiting,
    rows: backend.load.rows,
    prompts: service.prompts.size.prompts,
    promptBytes: service.prompts.size.bytes,
    unreported: outbox.waiting,
  }));
  const server = await listen(service, environment);
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    async close() {
      const isEmpty = service.admission.close().then(() => true);
      const limit = new Promise<false>((resolve) => {
        setTimeout(() => resolve(false), environment.SERVING_DRAIN_SECONDS * 1000).unref();
      });
      if (!(await Promise.race([isEmpty, limit]))) {
        log("stopped requests", { requests: service.admission.requests });
        // Hanging up on them ends them.
        server.closeAllConnections();
        await isEmpty;
      }
      await closeServer(server);
      await outbox.close();
      await backend.close();
    },
  };
}

/** Lets the last bytes of answers reach their clients, who may keep their connections open. */
async function closeServer(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const slow = setTimeout(() => server.closeAllConnections(), LAST_BYTES_MS);
  await closed;
  clearInterval(idle);
  clearTimeout(slow);
}

function listen<P>(service: Service<P>, { HOST: hostname, PORT: port }: Environment): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: createApp(service).fetch, hostname, port }, () => resolve(server)) as Server;
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const detail = `${hostname}:${port} can't be listened on (${cause.code}).`;
      reject(new ProblemError("The serving process can't start", detail, { cause }));
    });
  });
}

import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { openaiError } from "../../shared/protocol/openai-error.ts";
import { log, whereOf } from "../log.ts";

export type AppContext = Context<{ Bindings: HttpBindings }>;

/** Sends an event of a stream. */
export type Emit = (event: object) => void;

/** Aborts when the client is gone before it has its whole answer. */
export function abortOnHangUp({ env: { outgoing } }: AppContext, abort: AbortController): void {
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) abort.abort();
  });
}

/**
 * Answers with what some work gives, or with the events that it emits, as OpenAI's streams are: server-sent events that end with [DONE].
 * What goes wrong before the first event is thrown; after it, it is the last event.
 */
export async function respond(
  c: AppContext,
  streamed: boolean,
  work: (emit: Emit) => Promise<object>,
  abort: AbortController,
): Promise<Response> {
  if (!streamed) return c.json(await work(() => {}));
  const encoder = new TextEncoder();
  return new Promise((resolve, reject) => {
    let controller: ReadableStreamDefaultController<Uint8Array>;
    let isOpen = true;
    const body = new ReadableStream<Uint8Array>({
      start(own) {
        controller = own;
      },
      cancel() {
        isOpen = false;
        abort.abort();
      },
    });
    let begun = false;
    const send = (data: string) => {
      if (isOpen) controller.enqueue(encoder.encode(`data: ${data}\n\n`));
      if (begun) return;
      begun = true;
      const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store" };
      resolve(new Response(body, { headers }));
    };
    const end = () => {
      if (isOpen) controller.close();
      isOpen = false;
    };
    work((event) => send(JSON.stringify(event))).then(
      () => {
        send("[DONE]");
        end();
      },
      (error: unknown) => {
        if (!begun) return reject(error);
        send(JSON.stringify(openaiError(problemOf(error)).body));
        end();
      },
    );
  });
}

/** What a client is told. What isn't a ProblemError is our own fault: where it happened is logged, and nothing of it is shown. */
export function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  log("request failed", { error: whereOf(error) });
  return new ProblemError("Internal error", "The provider's server failed; try again.", { status: 500 });
}

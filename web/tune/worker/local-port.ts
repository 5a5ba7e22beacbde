import { type Runtime, SessionHost } from "../../../shared/graph/session-host.ts";
import type { Request, SessionPort } from "../../../shared/graph/session-messages.ts";

/** Sessions in the caller's own thread, which hears its messages between two requests: WebAssembly doesn't give way while it computes. */
export class LocalPort implements SessionPort {
  readonly #host: SessionHost;
  readonly #channel = new MessageChannel();
  #queue: Promise<unknown> = Promise.resolve();

  constructor(runtime: Runtime) {
    this.#host = new SessionHost(runtime);
  }

  call<T>(request: Request): Promise<T> {
    const answer = this.#queue.then(async () => {
      await this.#otherMessages();
      return (await this.#host.answer(request)) as T;
    });
    this.#queue = answer.catch(() => {});
    return answer;
  }

  async close(): Promise<void> {
    await this.#queue;
    this.#channel.port1.close();
  }

  /** Unlike a timer, a message is not slowed down. */
  #otherMessages(): Promise<void> {
    const { port1, port2 } = this.#channel;
    return new Promise((resolve) => {
      port1.addEventListener("message", () => resolve(), { once: true });
      port1.start();
      port2.postMessage(null);
    });
  }
}

import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { State } from "../../shared/protocol/transfer.ts";
import { isFinal } from "../ledger/decide.ts";
import type { AppEnv } from "./app-env.ts";

/** Proxies close connections that are silent for 30 to 100 seconds. */
export const HEARTBEAT_MS = 15_000;

/**
 * Sends something that changes at every change, as server-sent events, until it has ended.
 *
 * @param name of the events
 * @param version that the client has seen
 * @param next what it is when its version is above another one, or after a while
 */
export function sendChanges<T extends { readonly version: number; readonly state: State }>(
  c: Context<AppEnv>,
  name: string,
  version: number,
  next: (after: number) => Promise<T>,
): Response {
  return streamSSE(c, async (stream) => {
    for (let seen = version; !stream.aborted; ) {
      const now = await next(seen);
      if (now.version > seen) {
        await stream.writeSSE({ event: name, id: String(now.version), data: JSON.stringify(now) });
      } else {
        await stream.write(": still here\n\n");
      }
      if (isFinal(now.state)) return;
      seen = now.version;
    }
  });
}

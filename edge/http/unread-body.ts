import { createMiddleware } from "hono/factory";
import type { AppEnv } from "./app-env.ts";
import { MAX_UPLOAD_BYTES } from "./upload.ts";

/** What is read of a body that nobody wanted; a client that sends more may find its connection closed. */
const MAX_DRAINED_BYTES = 2 * MAX_UPLOAD_BYTES;
/** How long that may take: a body that trickles in holds no request open for longer. */
const MAX_DRAIN_MS = 10_000;

/**
 * Reads what a route left unread of a request's body before its answer goes out. An answer that overtakes the body
 * closes the connection under a client that still writes: it would see a broken pipe in place of the answer.
 */
export const drainBody = createMiddleware<AppEnv>(async (c, next) => {
  const { body } = c.req.raw;
  await next();
  if (body === null || body.locked) return;
  const reader = body.getReader();
  const late = setTimeout(() => void reader.cancel().catch(() => {}), MAX_DRAIN_MS);
  try {
    for (let read = 0; read <= MAX_DRAINED_BYTES; ) {
      const { done, value } = await reader.read();
      if (done) return;
      read += value.length;
    }
    await reader.cancel();
  } catch {
    // The client went away: there is no more to read.
  } finally {
    clearTimeout(late);
  }
});

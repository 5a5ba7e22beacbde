import { createMiddleware } from "hono/factory";
import type { AppEnv } from "./app.ts";
import { MAX_UPLOAD_BYTES } from "./upload.ts";

/** What is read of a body that nobody wanted; a client that sends more may find its connection closed. */
const MAX_DRAINED_BYTES = 2 * MAX_UPLOAD_BYTES;

/**
 * Reads what a route left unread of a request's body before its answer goes out. An answer that overtakes the body
 * closes the connection under a client that still writes: it would see a broken pipe in place of the answer.
 */
export const drainBody = createMiddleware<AppEnv>(async (c, next) => {
  await next();
  const { body, bodyUsed } = c.req.raw;
  if (body === null || bodyUsed || body.locked) return;
  const reader = body.getReader();
  try {
    for (let read = 0; read <= MAX_DRAINED_BYTES; ) {
      const { done, value } = await reader.read();
      if (done) return;
      read += value.length;
    }
    await reader.cancel();
  } catch {
    // The client went away, or the body was longer than its route takes: either way there is no more to read.
  }
});

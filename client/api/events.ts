import type { z } from "zod";
import { chunksOf } from "../../shared/protocol/chunks.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { eventData } from "../../shared/protocol/event-stream.ts";
import type { Api } from "./api.ts";

/** After a lost connection; a provider that restarts takes about a second. */
const RECONNECT_MS = 1000;
/** Reconnections in a row that brought nothing: then something is really wrong. */
const MAX_RECONNECTS = 60;

/** What is followed: its version grows, and at its end it has a cost. */
interface Followed {
  readonly version: number;
  readonly cost: unknown;
}

/**
 * Follows a transfer or predictions until they have finished, over lost connections too.
 *
 * @param path of it in the API
 * @param onChange called at every change
 * @returns it, finished
 */
export async function follow<T extends Followed>(
  api: Api,
  path: string,
  schema: z.ZodType<T>,
  onChange: (now: T) => void,
  signal?: AbortSignal,
): Promise<T> {
  let last: T | undefined;
  for (let fruitless = 0; ; fruitless++) {
    try {
      for await (const data of connection(api, path, last?.version, signal)) {
        const now = schema.parse(JSON.parse(data));
        fruitless = 0;
        last = now;
        onChange(now);
        if (now.cost !== null) return now;
      }
    } catch (error) {
      if (signal?.aborted || fruitless === MAX_RECONNECTS || !passes(error)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

async function* connection(api: Api, path: string, version: number | undefined, signal: AbortSignal | undefined) {
  const headers = version === undefined ? {} : { "last-event-id": String(version) };
  const init = { headers, ...(signal && { signal }) };
  const response = await api.request(`${path}/events`, init);
  yield* eventData(chunksOf(response.body!));
}

/** Whether trying again may help: the connection broke, or the provider is down for a moment. */
function passes(error: unknown): boolean {
  return !(error instanceof ProblemError) || error.status === 503 || error.status === 429;
}

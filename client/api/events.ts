import type { z } from "zod";
import { chunksOf } from "../../shared/protocol/chunks.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { eventData } from "../../shared/protocol/event-stream.ts";
import { pause } from "./pause.ts";
import type { Call, Transport } from "./transport.ts";

/** After a lost connection; a provider that restarts takes about a second. */
const RECONNECT_MS = 1000;
/** Reconnections in a row that brought nothing: then something is really wrong. */
const MAX_RECONNECTS = 60;

/** What is followed: its version grows, and at its end it has a cost. */
interface Followed {
  readonly version: number;
  readonly cost: unknown;
}

/** How something is followed. */
export interface Following extends Call {
  /** Called when the connection is lost, before it is tried again. */
  readonly onLost?: ((error: unknown) => void) | undefined;
}

/**
 * A transfer or predictions at every change until they have finished, over lost connections too.
 *
 * @param path of it in the API
 */
export async function* changes<T extends Followed>(
  api: Transport,
  path: string,
  schema: z.ZodType<T>,
  { signal, onLost }: Following,
): AsyncGenerator<T, void> {
  let last: T | undefined;
  for (let fruitless = 0; ; fruitless++) {
    try {
      for await (const data of connection(api, path, last?.version, signal)) {
        last = schema.parse(JSON.parse(data));
        fruitless = 0;
        yield last;
        if (last.cost !== null) return;
      }
    } catch (error) {
      if (signal?.aborted || fruitless === MAX_RECONNECTS || !passes(error)) throw error;
      onLost?.(error);
    }
    await pause(RECONNECT_MS, signal);
  }
}

/** The last of them. @param onChange called with each */
export async function follow<T>(all: AsyncGenerator<T, void>, onChange: (now: T) => void): Promise<T> {
  let last: T | undefined;
  for await (const now of all) {
    last = now;
    onChange(now);
  }
  return last!;
}

async function* connection(api: Transport, path: string, version: number | undefined, signal: AbortSignal | undefined) {
  const headers = version === undefined ? {} : { "last-event-id": String(version) };
  const init = { headers, ...(signal && { signal }) };
  yield* eventData(chunksOf((await api.request(`${path}/events`, init)).body!));
}

/** Whether trying again may help: the connection broke, or the provider is down for a moment. */
function passes(error: unknown): boolean {
  return !(error instanceof ProblemError) || error.status === 503 || error.status === 429;
}

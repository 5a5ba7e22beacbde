import { ProblemError } from "../../shared/protocol/errors.ts";
import { eventData } from "../../shared/protocol/event-stream.ts";
import { type Transfer, transferSchema } from "../../shared/protocol/transfer.ts";
import { type Api, transferPath } from "./api.ts";

/** After a lost connection; a provider that restarts takes about a second. */
const RECONNECT_MS = 1000;
/** Reconnections in a row that brought nothing: then something is really wrong. */
const MAX_RECONNECTS = 60;

/**
 * Follows a transfer until it has finished, over lost connections too.
 *
 * @param onChange called at every change
 * @returns the finished transfer
 */
export async function follow(
  api: Api,
  id: string,
  onChange: (transfer: Transfer) => void,
  signal?: AbortSignal,
): Promise<Transfer> {
  let last: Transfer | undefined;
  for (let fruitless = 0; ; fruitless++) {
    try {
      for await (const transfer of connection(api, id, last?.version, signal)) {
        fruitless = 0;
        last = transfer;
        onChange(transfer);
        if (transfer.cost !== null) return transfer;
      }
    } catch (error) {
      if (signal?.aborted || fruitless === MAX_RECONNECTS || !passes(error)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

async function* connection(api: Api, id: string, version: number | undefined, signal: AbortSignal | undefined) {
  const headers = version === undefined ? {} : { "last-event-id": String(version) };
  const init = { headers, ...(signal && { signal }) };
  const response = await api.request(`${transferPath(id)}/events`, init);
  for await (const data of eventData(response.body!)) yield transferSchema.parse(JSON.parse(data));
}

/** Whether trying again may help: the connection broke, or the provider is down for a moment. */
function passes(error: unknown): boolean {
  return !(error instanceof ProblemError) || error.status === 503 || error.status === 429;
}

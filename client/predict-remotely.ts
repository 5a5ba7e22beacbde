import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ProblemError } from "../shared/protocol/errors.ts";
import { MAX_PREDICTION_BYTES, PREDICTIONS_FILE, predictionSchema } from "../shared/protocol/prediction.ts";
import { Api } from "./api/api.ts";
import { type ConnectionOptions, connect } from "./api/connection.ts";
import { follow } from "./api/events.ts";
import { progressEvents } from "./commands/wait.ts";
import { longRun } from "./long-run.ts";
import type { Io } from "./output.ts";

/**
 * Lets a job of the provider's make predictions for a file of texts, and prints what `predict` prints.
 *
 * @throws ProblemError if it is refused, fails, or what comes is not what was announced
 */
export async function predictRemotely(
  { model, data, ...options }: ConnectionOptions & { readonly model: string; readonly data: string },
  io: Io,
): Promise<void> {
  const api = new Api(await connect(options));
  const body = await readFile(data).catch((cause: NodeJS.ErrnoException) => {
    throw new ProblemError("The data file can't be read", `${data} (${cause.code}).`, { cause });
  });
  if (body.length > MAX_PREDICTION_BYTES) {
    throw new ProblemError("The data file is too large", `${data}: at most ${MAX_PREDICTION_BYTES} bytes are taken.`);
  }
  const headers = { "content-type": "application/jsonl" };
  const init = { method: "POST", headers, body };
  const { id } = await api.json(`/v1/predictions?model=${encodeURIComponent(model)}`, predictionSchema, init);
  const path = `/v1/predictions/${id}`;
  const done = await longRun(io, ({ signal, onEvent }) => {
    const show = onEvent && progressEvents(onEvent);
    return follow(api, path, predictionSchema, ({ progress }) => progress && show?.(progress), signal);
  });
  if (done.state !== "succeeded") {
    const detail = done.problem ?? "It was cancelled.";
    throw new ProblemError(`The prediction ${done.state === "failed" ? "failed" : "was cancelled"}`, detail);
  }
  const file = done.files.find(({ name }) => name === PREDICTIONS_FILE);
  const bytes = Buffer.from(await (await api.request(`${path}/files/${PREDICTIONS_FILE}`)).arrayBuffer());
  if (createHash("sha256").update(bytes).digest("hex") !== file?.sha256) {
    throw new ProblemError("The download failed", "The predictions' digest is not the one that was announced.");
  }
  io.piece(bytes.toString("utf8"));
}

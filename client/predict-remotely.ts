import { createHash, randomUUID } from "node:crypto";
import { grouped } from "../shared/data/grouped.ts";
import { type Data, pathOf, textRowsOf, textsOf } from "../shared/data/jsonl.ts";
import { ProblemError } from "../shared/protocol/errors.ts";
import {
  MAX_PREDICTION_BYTES,
  PREDICTIONS_FILE,
  type Prediction,
  predictionSchema,
} from "../shared/protocol/prediction.ts";
import { Api } from "./api/api.ts";
import { type ConnectionOptions, connect } from "./api/connection.ts";
import { changes, follow } from "./api/events.ts";
import { wholeBody } from "./api/transport.ts";
import { progressEvents } from "./commands/wait.ts";
import { longRun } from "./long-run.ts";
import { namingKey } from "./naming-key.ts";
import type { Io } from "./output.ts";
import { predictionPrinter } from "./print-predictions.ts";
import { bytes } from "./words.ts";

/**
 * Lets a job of the provider's make predictions for a file of texts, and prints what `predict` prints. Only the texts are sent.
 *
 * @param idempotencyKey of the job, if it may have been begun before
 * @throws ProblemError if it is refused, fails, or what comes is not what was announced
 */
export async function predictRemotely(
  {
    model,
    data,
    idempotencyKey = randomUUID(),
    ...options
  }: ConnectionOptions & { readonly model: string; readonly data: Data; readonly idempotencyKey?: string },
  io: Io,
): Promise<void> {
  const api = new Api(await connect(options));
  const { body, rows } = await bodyOf(data);
  const headers = { "content-type": "application/jsonl", "idempotency-key": idempotencyKey };
  const whenStopped = () =>
    `Stopped watching; a job that began goes on, and is paid for. To see its answers: the same command with --idempotency-key ${idempotencyKey}`;
  const done = await longRun(io, whenStopped, async ({ signal, onEvent }) => {
    const init = { method: "POST", headers, body, ...(signal && { signal }) };
    const address = `/v1/predictions?model=${encodeURIComponent(model)}`;
    const { id } = await api.json(address, predictionSchema, init).catch(namingKey(idempotencyKey));
    const show = onEvent && progressEvents(onEvent);
    const states = changes(api, `/v1/predictions/${id}`, predictionSchema, { signal });
    return follow(states, (change) => show?.(change)).catch(namingKey(idempotencyKey, { arrived: true }));
  });
  if (done.state !== "succeeded") {
    const detail = done.problem ?? "It was cancelled.";
    throw new ProblemError(`The prediction ${done.state === "failed" ? "failed" : "was cancelled"}`, detail);
  }
  const lines = await answersOf(done, rows, api).catch(namingKey(idempotencyKey, { arrived: true }));
  const print = predictionPrinter(io);
  let next = 0;
  for await (const { fields } of textRowsOf(data)) print(JSON.parse(lines[next++]!.toString("utf8")), fields);
}

/** The lines of a job's answers. @throws ProblemError if they don't come, or aren't what was announced */
async function answersOf({ id, files }: Prediction, rows: number, api: Api): Promise<Buffer[]> {
  const file = files.find(({ name }) => name === PREDICTIONS_FILE);
  const response = await api.request(`/v1/predictions/${id}/files/${PREDICTIONS_FILE}`);
  const answer = Buffer.from(await wholeBody(response));
  if (createHash("sha256").update(answer).digest("hex") !== file?.sha256) {
    throw new ProblemError("The download failed", "The predictions' digest is not the one that was announced.");
  }
  const lines = [...linesOf(answer)];
  if (lines.length === rows) return lines;
  throw new ProblemError("The download failed", `There are ${lines.length} predictions of ${rows} texts.`);
}

/** What is sent of the rows. @throws ProblemError for more than is taken */
async function bodyOf(data: Data): Promise<{ readonly body: Buffer; readonly rows: number }> {
  const parts: Buffer[] = [];
  let [rows, size] = [0, 0];
  for await (const texts of grouped(textsOf(data))) {
    rows += texts.length;
    const part = Buffer.from(texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
    size += part.length;
    if (size <= MAX_PREDICTION_BYTES) parts.push(part);
  }
  if (size <= MAX_PREDICTION_BYTES) return { body: Buffer.concat(parts), rows };
  const detail = `${pathOf(data)} has ${bytes(size)} of texts; at most ${bytes(MAX_PREDICTION_BYTES)} are taken.`;
  throw new ProblemError("The data file is too large", detail);
}

function* linesOf(text: Buffer): Generator<Buffer> {
  for (let from = 0, to = 0; from < text.length; from = to + 1) {
    to = text.indexOf(10, from);
    if (to < 0) to = text.length;
    if (to > from) yield text.subarray(from, to);
  }
}

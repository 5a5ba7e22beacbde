import type { Prediction } from "../../shared/protocol/prediction.ts";
import type { State, Transfer } from "../../shared/protocol/transfer.ts";
import type { Row } from "./schema.ts";
import { isoTime } from "./times.ts";

/** Enough for a curve on a screen; a transfer may report thousands. */
const MAX_LOSSES = 200;

/** A row as the API shows it. */
export function toTransfer(row: Row): Transfer {
  return {
    id: row.id,
    state: row.state as State,
    version: row.version,
    created: new Date(row.created).toISOString(),
    updated: new Date(row.updated).toISOString(),
    student: row.student,
    virtualTokens: row.virtual_tokens,
    promptDigest: row.prompt_digest,
    name: row.name,
    metadata: JSON.parse(row.metadata),
    deleted: isoTime(row.deleted),
    options: JSON.parse(row.options),
    progress: row.progress === null ? null : JSON.parse(row.progress),
    losses: JSON.parse(row.losses),
    rate: JSON.parse(row.rate),
    device: row.device,
    estimatedSeconds: row.estimated_seconds,
    reserved: { deviceSeconds: row.reserved_seconds, micros: row.reserved_micros },
    cost: row.cost_micros === null ? null : { deviceSeconds: row.cost_seconds!, micros: row.cost_micros },
    actualSeconds: row.actual_seconds,
    travel: JSON.parse(row.travel),
    advice: JSON.parse(row.advice),
    ranked: JSON.parse(row.ranked),
    problem: row.problem,
    // What a job that ends late says of files that are deleted isn't so.
    files: row.deleted === null ? JSON.parse(row.files) : [],
  };
}

/** The same of predictions. */
export function toPrediction(row: Row): Prediction {
  const { id, state, version, created, updated, progress, rate, device, ...rest } = toTransfer(row);
  const { estimatedSeconds, reserved, cost, actualSeconds, problem, files } = rest;
  const costs = { estimatedSeconds, reserved, cost, actualSeconds };
  return { id, model: row.model, state, version, created, updated, progress, rate, device, ...costs, problem, files };
}

/** The losses with one more; every second one is dropped when there are too many. Steps that a resumed job repeats are kept once. */
export function addLoss(losses: Transfer["losses"], step: number, loss: number): Transfer["losses"] {
  const before = losses.filter((point) => point.step < step);
  const thinned = before.length < MAX_LOSSES ? before : before.filter((_, i) => i % 2 === 0);
  return [...thinned, { step, loss }];
}

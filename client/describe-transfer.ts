import type { RankedSet, Travel } from "../shared/protocol/manifest.ts";
import type { Progress, Transfer } from "../shared/protocol/transfer.ts";
import { tableLines } from "./table.ts";
import { duration, money, next, percent } from "./words.ts";

/** How well a prompt travelled, in words. */
export function describeTravel({ agreement, divergence, heldOut }: Travel): string {
  return `Student and target agree on ${percent(agreement)} of ${heldOut} held-out public texts (divergence ${divergence.toPrecision(3)})`;
}

/** Which public set was taken of several, and what by. */
export function describeRanked(ranked: readonly RankedSet[]): string[] {
  const rows = ranked.map(({ id, texts, information, confidence, unnamed }) => [
    id,
    String(texts),
    information.toFixed(3),
    percent(confidence),
    String(unnamed),
  ]);
  const head = ["public set", "texts read", "information (nats)", "mean confidence", "classes hardly ever named"];
  return [
    `Public set taken: ${ranked[0]!.id}, whose texts the prompted student tells apart best (whether a prompt travels best by it isn't measured)`,
    ...tableLines([head, ...rows]).map((line) => `  ${line}`),
  ];
}

/** A transfer in lines: its state, what became of it and what to do about it, and what to type next. */
export function describeTransfer(transfer: Transfer): string[] {
  const { id, state, progress, problem, travel, advice, cost, ranked } = transfer;
  const where = progress && !cost ? `, ${describeProgress(progress)}` : "";
  return [
    `${id}: ${state}${where}`,
    ...(problem === null ? [] : [problem]),
    ...(ranked ? describeRanked(ranked) : []),
    ...(travel ? [describeTravel(travel)] : []),
    ...advice,
    describeCost(transfer),
    ...nextOf(transfer),
  ];
}

/** The cells of a transfer in a table. */
export function transferRow(transfer: Transfer): string[] {
  const { id, state, progress, created, student, options, cost, rate } = transfer;
  const where = progress && !cost ? describeProgress(progress) : "";
  const paid = cost ? money(cost.micros, rate.currency) : "";
  return [id, state, created.slice(0, 16).replace("T", " "), student, options.dataset, paid, where];
}

export const TRANSFER_HEAD = ["TRANSFER", "state", "submitted (UTC)", "student", "data set", "paid", ""];

function describeProgress({ phase, done, total, unit = "steps", loss }: Progress): string {
  return `${phase} ${done}/${total} ${unit}${loss === undefined ? "" : `, loss ${loss.toPrecision(4)}`}`;
}

function describeCost({ rate, device, estimatedSeconds, actualSeconds, cost, reserved }: Transfer): string {
  const on = `on ${device ?? rate.device} at ${money(rate.microsPerHour, rate.currency)} an hour`;
  const estimate = `estimated ${duration(estimatedSeconds)}`;
  if (!cost) return `Time: ${estimate} ${on}; ${money(reserved.micros, rate.currency)} set aside`;
  if (actualSeconds === null) return "Cost: none";
  return `Cost: ${money(cost.micros, rate.currency)} for ${duration(actualSeconds)} ${on} (${estimate})`;
}

function nextOf({ id, state, cost }: Transfer): string[] {
  if (state === "succeeded") return [next("download", id, "--out", "DIR")];
  return cost ? [] : [next("wait", id)];
}

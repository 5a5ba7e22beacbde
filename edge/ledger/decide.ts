import type { BudgetName, Limits, Refusal } from "../../shared/protocol/budget.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { State } from "../../shared/protocol/transfer.ts";
import { nextDay } from "./times.ts";

/** What a tenant has spent or set aside. */
export interface Usage {
  readonly micros: number;
  readonly deviceSeconds: number;
  readonly virtualTokens: number;
  /** Transfers that are not finished. */
  readonly concurrent: number;
  /** Transfers submitted since midnight UTC. */
  readonly daily: number;
}

/** What a new transfer would set aside. */
export interface Ask {
  readonly micros: number;
  readonly deviceSeconds: number;
  readonly virtualTokens: number;
}

/**
 * The budgets that the transfer would pass, all of them; none means that it may be reserved.
 *
 * @param composed epsilon at the privacy limit's delta of every prompt released from the data set, the new one
 *   included, and whose data it is about; Infinity if one isn't private. It is expensive, so it is asked only when nothing else refuses
 */
export function refusals(
  limits: Limits,
  usage: Usage,
  ask: Ask,
  composed: () => { readonly epsilon: number; readonly unit: string },
): Refusal[] {
  const found: Refusal[] = [];
  const check = (budget: BudgetName, what: string, limit: number, used: number, more: number) => {
    // Written as a subtraction that can't overflow or lose a unit: all are whole numbers below 2^53.
    if (more <= limit - used) return;
    found.push({ budget, message: `${what}: ${used} of ${limit} are spent or reserved, this one needs ${more}.` });
  };
  check("money", "Money in millionths", limits.micros, usage.micros, ask.micros);
  check("deviceSeconds", "Device seconds", limits.deviceSeconds, usage.deviceSeconds, ask.deviceSeconds);
  check("virtualTokens", "Virtual tokens", limits.virtualTokens, usage.virtualTokens, ask.virtualTokens);
  check("concurrent", "Transfers at one time", limits.concurrent, usage.concurrent, 1);
  check("daily", "Transfers a day", limits.daily, usage.daily, 1);
  if (found.length > 0 || limits.privacy === null) return found;

  const { epsilon, unit } = composed();
  const { epsilon: limit, delta } = limits.privacy;
  if (epsilon <= limit) return [];
  const message = Number.isFinite(epsilon)
    ? `Privacy: all prompts from this data set would together have epsilon ${epsilon.toPrecision(4)} at delta ${delta} for ${unit}; the limit is ${limit}.`
    : `Privacy: a prompt from this data set was tuned without differential privacy; the limit is epsilon ${limit} at delta ${delta}.`;
  return [{ budget: "privacy", message }];
}

/** HTTP status of a refusal: what waiting doesn't cure comes first. */
export function refusalStatus(refusals: readonly Refusal[]): 402 | 403 | 429 {
  const has = (...budgets: BudgetName[]) => refusals.some(({ budget }) => budgets.includes(budget));
  if (has("privacy")) return 403;
  return has("money", "deviceSeconds", "virtualTokens") ? 402 : 429;
}

/** Transfers end within minutes; when the next one does isn't known. */
const FREE_SECONDS = 60;

/** Seconds after which a refusal may be over that waiting cures: a day's transfers at midnight (UTC). */
function retrySeconds(refusals: readonly Refusal[], now: number): number {
  const daily = refusals.some(({ budget }) => budget === "daily");
  return daily ? Math.ceil((nextDay(now) - now) / 1000) : FREE_SECONDS;
}

/** What a client is told that would pass a budget. */
export function budgetProblem(refusals: readonly Refusal[]): ProblemError {
  const faults = refusals.map(({ budget, message }) => ({ at: `budget/${budget}`, message }));
  const detail = faults.map(({ message }) => message).join(" ");
  const retryAfter = retrySeconds(refusals, Date.now());
  return new ProblemError("A budget would be passed", detail, { status: refusalStatus(refusals), faults, retryAfter });
}

const RANK: Readonly<Record<State, number>> = {
  accepted: 0,
  queued: 1,
  running: 2,
  cancelling: 3,
  succeeded: 4,
  failed: 4,
  cancelled: 4,
};

export function isFinal(state: State): boolean {
  return RANK[state] === RANK.succeeded;
}

/** The state after news of `next`: reports come late, twice and out of order, so it never goes back and a final state stays. */
export function advance(current: State, next: State): State {
  return RANK[next] > RANK[current] ? next : current;
}

/**
 * What a finished transfer costs. It never costs more than was set aside, whatever the job took: the tenant agreed to no
 * more, and budgets hold whatever the clocks say. A failure costs nothing; a cancellation what was computed until then, or
 * the device could be used for nothing.
 */
export function charge(
  state: State,
  reserved: { micros: number; deviceSeconds: number },
  seconds: number,
  price: number,
) {
  if (state === "failed") return { deviceSeconds: 0, micros: 0 };
  const deviceSeconds = Math.min(Math.ceil(seconds), reserved.deviceSeconds);
  return { deviceSeconds, micros: Math.min(deviceSeconds * price, reserved.micros) };
}

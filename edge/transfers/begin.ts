/** How a job begins for which budgets were reserved, of whatever kind it is. */
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import type { Env } from "../env.ts";
import { ledgerOf } from "../http/auth.ts";
import type { ReservedJob } from "../ledger/tenant.ts";
import { dispatch } from "./dispatch.ts";

/**
 * Whether this request has to write the job's files and dispatch it. A repeated one only does where the first one was interrupted: then nobody holds the
 * lease any more.
 */
export async function isToBegin(env: Env, tenant: string, { kind, transfer }: ReservedJob): Promise<boolean> {
  if (kind === "new") return true;
  return transfer.state === "accepted" && (await ledgerOf(env, tenant).lease(transfer.id));
}

/** Dispatches a job whose files are written. @throws ProblemError (502) if it is refused; its budgets are free again then */
export async function begin(env: Env, tenant: string, transfer: Transfer): Promise<Transfer> {
  const dispatched = await dispatch(env, tenant, transfer);
  if (dispatched.state !== "failed") return dispatched;
  throw new ProblemError("The job was refused", dispatched.problem ?? "", { status: 502 });
}

import type { JobDetail } from "@aws-sdk/client-batch";

const AGAIN = "It costs nothing. Submit it again; if it fails again, give the provider the transfer's id.";
const AT_THE_PROVIDER = "It costs nothing. Tell the provider the transfer's id, and submit it again later.";

/**
 * What a client is told of a job that ended without a word of its own: what happened, and what to do. Batch's own words go to the log.
 *
 * @param job undefined if Batch doesn't know it any more
 */
export function explainEnd(job: JobDetail | undefined): string {
  if (!job) return `The job is not known any more. ${AGAIN}`;
  if (job.status === "SUCCEEDED") return `The job ended without a result. ${AGAIN}`;
  const last = job.attempts?.at(-1);
  const said = [job.statusReason, last?.statusReason, last?.container?.reason].filter(Boolean).join("; ");
  const tries = job.attempts?.length ?? 0;
  const after = tries > 1 ? ` in each of ${tries} tries` : "";
  if (/duration exceeded timeout/i.test(said))
    return `The job took far longer than estimated and was stopped. ${AGAIN}`;
  if (/OutOfMemory/i.test(said)) return `The job ran out of memory. ${AT_THE_PROVIDER}`;
  if (/Host EC2|Spot/i.test(said)) return `The machine went away${after || " while the job ran"}. ${AGAIN}`;
  const exitCode = last?.container?.exitCode;
  if (exitCode === undefined && tries > 0) return `The job could not be started. ${AT_THE_PROVIDER}`;
  if (tries === 0) return `The job was taken off the provider's queue before it started. ${AGAIN}`;
  if (exitCode === 2) return `The job found that it can't be done. ${AT_THE_PROVIDER}`;
  if (/Essential container/i.test(said)) return `The job broke down${after}. ${AGAIN}`;
  return `The provider stopped the job. ${AGAIN}`;
}

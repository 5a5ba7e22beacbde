import type { JobDetail } from "@aws-sdk/client-batch";

const AGAIN = "It costs nothing. Submit it again; if it fails again, give the provider the transfer's id.";
const AT_THE_PROVIDER = "It costs nothing. Tell the provider the transfer's id, and submit it again later.";

/** Exit codes from here on stand for a signal (POSIX shells; Docker has them too). */
const SIGNALS = 128;
const KILLED = 9;

/** How a program ended that a signal ended. */
function endOf(exitCode: number | undefined): string {
  if (exitCode === undefined || exitCode <= SIGNALS) return "";
  const signal = exitCode - SIGNALS;
  const likely = signal === KILLED ? ", as by a machine whose memory is full" : "";
  return `; it was ended by signal ${signal}${likely}`;
}

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
  if (/CannotPull(Container|Image)/i.test(said))
    return `The provider's machines can't fetch the jobs' image. ${AT_THE_PROVIDER}`;
  if (/ResourceInitialization|Cannot(Start|Create)Container|DockerTimeout|failed to start/i.test(said))
    return `The job could not be started. ${AT_THE_PROVIDER}`;
  if (/Host EC2|Spot/i.test(said)) return `The machine went away${after || " while the job ran"}. ${AGAIN}`;
  const exitCode = last?.container?.exitCode;
  if (exitCode === undefined && tries > 0) return `The job could not be started. ${AT_THE_PROVIDER}`;
  if (tries === 0) return `The job was taken off the provider's queue before it started. ${AGAIN}`;
  if (exitCode === 2) return `The job found that it can't be done. ${AT_THE_PROVIDER}`;
  if (/Essential container/i.test(said)) return `The job broke down${after}${endOf(exitCode)}. ${AGAIN}`;
  return `The provider stopped the job. ${AGAIN}`;
}

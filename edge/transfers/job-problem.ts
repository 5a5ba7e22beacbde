import type { JobDetail } from "@aws-sdk/client-batch";

/** What Batch's reasons for the end of a job mean to a client. The first that fits counts. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/OutOfMemory/i, "The job needed more memory than its machine has. The provider has to give it a larger one."],
  [
    /CannotPull(Container|Image)/i,
    "The provider's machines can't fetch the jobs' image. Nothing was paid; the provider has to look.",
  ],
  [
    /ResourceInitialization|CannotStartContainer|CannotCreateContainer|DockerTimeout|failed to start/i,
    "The job could not be started, however often it was tried. Nothing was paid; the provider has to look.",
  ],
  [/duration exceeded timeout/i, "The job took far longer than was estimated, and was stopped. Nothing was paid."],
  [/^Host EC2/i, "Its machines were taken away too often. Nothing was paid; submit it again."],
  [
    /Essential container in task exited/i,
    "The job ended without saying why, however often it was tried. The provider's log may say more.",
  ],
];

/** Why a job failed that didn't say so itself, for the client: Batch's own words mean something to the provider only. */
export function jobProblem({ status, statusReason = "", container, attempts = [] }: JobDetail): string {
  if (status === "SUCCEEDED") return "The job ended without a result.";
  const last = attempts.at(-1);
  const reasons = [container?.reason, last?.container?.reason, statusReason, last?.statusReason].filter(Boolean);
  const meaning = MEANINGS.find(([pattern]) => reasons.some((reason) => pattern.test(reason!)));
  return meaning?.[1] ?? (statusReason || "Batch says no reason.");
}

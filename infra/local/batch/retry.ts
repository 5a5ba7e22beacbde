import type { Attempt, Job } from "./job.ts";

/**
 * Whether Batch would start a failed job again: while it has attempts left, the first rule of `evaluateOnExit` whose conditions all match
 * decides, and where none matches it is retried.
 */
export function shouldRetry({ retryStrategy, attempts }: Pick<Job, "retryStrategy" | "attempts">): boolean {
  const last = attempts.at(-1);
  if (!last || attempts.length >= retryStrategy.attempts) return false;
  const rule = retryStrategy.evaluateOnExit.find((candidate) => matches(candidate, last));
  return rule === undefined || rule.action === "RETRY";
}

type Rule = Job["retryStrategy"]["evaluateOnExit"][number];

function matches({ onExitCode, onReason, onStatusReason }: Rule, { container, statusReason }: Attempt): boolean {
  return (
    matchesPattern(onExitCode, String(container.exitCode ?? "")) &&
    matchesPattern(onReason, container.reason ?? "") &&
    matchesPattern(onStatusReason, statusReason)
  );
}

/** A pattern may end in `*`; case counts for nothing. */
function matchesPattern(pattern: string | undefined, text: string): boolean {
  if (pattern === undefined) return true;
  const [wanted, given] = [pattern.toLowerCase(), text.toLowerCase()];
  return wanted.endsWith("*") ? given.startsWith(wanted.slice(0, -1)) : given === wanted;
}

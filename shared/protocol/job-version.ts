/**
 * The version of what the Worker and its jobs tell each other: specs, reports and results. It grows when one of them would be misread by the release
 * before; fields that the other side may pass over don't change it. Releases before there was a number are of version 1.
 */
export const JOB_PROTOCOL = 1;

/** The header with which a job's reports say theirs: a Worker of any release passes over a header that it doesn't know. */
export const VERSION_HEADER = "softpost-job-protocol";

/** What is wrong with a version; undefined if this release knows it. */
export function versionFault(version: number, what: "spec" | "report" | "result"): string | undefined {
  if (version === JOB_PROTOCOL) return undefined;
  const side = version > JOB_PROTOCOL ? "newer" : "older";
  return `The provider is being upgraded: the ${what} is of version ${version}, ${side} than ${JOB_PROTOCOL}, which is known here. It costs nothing; submit it again in some minutes.`;
}

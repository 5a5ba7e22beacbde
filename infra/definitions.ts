/**
 * The job definitions, for AWS (aws/jobs.ts) and for the daemon on one machine (local/definitions.ts): what a kind of job is called, what it runs
 * and when it is tried again.
 */
export const kinds = ["transfer", "distill", "predict"] as const;
export type Kind = (typeof kinds)[number];

/** @param prefix the queue's name: `softpost` has `softpost-transfer` and so on */
export function definitionName(prefix: string, kind: Kind): string {
  return `${prefix}-${kind}`;
}

/** What follows the program (batch/main.ts): the kind and the spec's key, a parameter of every submission. */
export function jobArguments(kind: Kind): string[] {
  return [kind, "Ref::spec"];
}

export interface Resources {
  readonly vcpus: number;
  /** What a machine of that size has left for jobs beside its own agent. */
  readonly memoryMiB: number;
  readonly gpus: number;
  /** For submissions that don't say; the edge gives every transfer its own. */
  readonly timeoutSeconds: number;
}

/** The smallest g5 and g6 have 4 vCPUs, 16 GiB and a GPU; a distillation also holds the student's weights and optimiser, so it gets the next one. */
export const resources: Readonly<Record<Kind, Resources>> = {
  transfer: { vcpus: 4, memoryMiB: 14_000, gpus: 1, timeoutSeconds: 6 * 3600 },
  predict: { vcpus: 4, memoryMiB: 14_000, gpus: 1, timeoutSeconds: 6 * 3600 },
  distill: { vcpus: 8, memoryMiB: 28_000, gpus: 1, timeoutSeconds: 24 * 3600 },
};

/** What an A10G and an L4 have for a process, of their 24 GB. */
const DEVICE_BYTES = 22_500 * 1024 ** 2;

/** Memory of a transfer's job: a target that needs more isn't published. */
export const TRANSFER_CAPACITY = { device: DEVICE_BYTES, host: resources.transfer.memoryMiB * 1024 ** 2 } as const;

/** As many as Batch allows. */
export const ATTEMPTS = 10;

export interface RetryRule {
  readonly action: "RETRY" | "EXIT";
  readonly onStatusReason?: string;
  readonly onExitCode?: string;
  readonly onReason?: string;
}

/**
 * What won't pass ends: a job that says that it can't be done (2, batch/lifecycle/run-process.ts), one that needs more memory than there is. All else
 * is tried again: machines that were taken away, jobs that wrote their checkpoint (143), images, secrets and storage that couldn't be reached,
 * crashes, of which a job counts its own (batch/lifecycle/crashes.ts). The last rule is what Batch does where none matches. At most five are allowed.
 */
export const retryRules: readonly RetryRule[] = [
  { onExitCode: "2", action: "EXIT" },
  { onReason: "OutOfMemoryError*", action: "EXIT" },
  { onStatusReason: "Host EC2*", action: "RETRY" },
  { onReason: "*", action: "RETRY" },
];

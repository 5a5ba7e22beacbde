import { z } from "zod";

const keyValues = z.array(z.object({ name: z.string(), value: z.string() }));

const retrySchema = z.object({
  attempts: z.int().min(1).max(10).default(1),
  evaluateOnExit: z
    .array(
      z.object({
        action: z.string().transform((action) => action.toUpperCase()),
        onExitCode: z.string().optional(),
        onReason: z.string().optional(),
        onStatusReason: z.string().optional(),
      }),
    )
    .default([]),
});

/** AWS Batch accepts no shorter timeout. */
const timeoutSchema = z.object({ attemptDurationSeconds: z.int().min(60) });

export const definitionSchema = z.object({
  jobDefinitionName: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  type: z.literal("container"),
  containerProperties: z.object({
    image: z.string().default(""),
    command: z.array(z.string()).min(1),
    environment: keyValues.default([]),
  }),
  parameters: z.record(z.string(), z.string()).default({}),
  retryStrategy: retrySchema.default({ attempts: 1, evaluateOnExit: [] }),
  timeout: timeoutSchema.optional(),
});

export type Definition = z.output<typeof definitionSchema> & {
  readonly revision: number;
  readonly jobDefinitionArn: string;
  readonly status: "ACTIVE";
};

export const submitSchema = z.object({
  jobName: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/, "has a character that job names can't have"),
  jobQueue: z.string(),
  jobDefinition: z.string(),
  parameters: z.record(z.string(), z.string()).default({}),
  retryStrategy: retrySchema.optional(),
  timeout: timeoutSchema.optional(),
});

export type Status = "RUNNABLE" | "RUNNING" | "SUCCEEDED" | "FAILED";

export interface Attempt {
  readonly startedAt: number;
  readonly stoppedAt: number;
  readonly statusReason: string;
  readonly container: { readonly exitCode?: number; readonly reason?: string; readonly logStreamName: string };
}

/** A job as DescribeJobs shows it; `process` is the daemon's own. */
export interface Job {
  readonly jobId: string;
  readonly jobArn: string;
  readonly jobName: string;
  readonly jobQueue: string;
  readonly jobDefinition: string;
  readonly status: Status;
  readonly statusReason?: string;
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly stoppedAt?: number;
  readonly attempts: readonly Attempt[];
  readonly parameters: Readonly<Record<string, string>>;
  readonly retryStrategy: z.output<typeof retrySchema>;
  readonly timeout?: z.output<typeof timeoutSchema> | undefined;
  readonly isTerminated: boolean;
  readonly container: Definition["containerProperties"];
  /** The running attempt's process group. */
  readonly process?: number | undefined;
}

export function isEnded({ status }: Job): boolean {
  return status === "SUCCEEDED" || status === "FAILED";
}

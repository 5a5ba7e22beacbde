import type { JobDetail } from "@aws-sdk/client-batch";
import { expect, test } from "vitest";
import { explainEnd } from "../../../edge/transfers/explain.ts";

/** As Batch describes a job that has ended. */
const job = (statusReason: string, container: { exitCode?: number; reason?: string }, tries = 1): JobDetail =>
  ({ status: "FAILED", statusReason, attempts: Array(tries).fill({ statusReason, container }) }) as JobDetail;

test.each<[string, JobDetail | undefined, RegExp]>([
  ["a crash", job("Essential container in task exited", { exitCode: 1 }), /^The job broke down\. .*Submit it again/],
  [
    "a job that was killed",
    job("Essential container in task exited", { exitCode: 137 }, 3),
    /broke down in each of 3 tries; it was ended by signal 9, as by a machine whose memory is full\. /,
  ],
  ["one that a fault ended", job("Essential container in task exited", { exitCode: 139 }), /ended by signal 11\. /],
  ["ten crashes", job("Essential container in task exited", { exitCode: 1 }, 10), /broke down in each of 10 tries/],
  ["one that can't be done", job("Essential container in task exited", { exitCode: 2 }), /it can't be done/],
  [
    "too little memory",
    job("Essential container in task exited", {
      exitCode: 137,
      reason: "OutOfMemoryError: Container killed due to memory usage",
    }),
    /ran out of memory/,
  ],
  ["a lost machine", job("Host EC2 (instance i-1) terminated.", {}, 10), /machine went away in each of 10 tries/],
  ["a timeout", job("Job attempt duration exceeded timeout", { exitCode: 137 }), /took far longer/],
  ["an image", job("Task failed to start", { reason: "CannotPullContainerError: x" }), /fetch the jobs' image/],
  ["an operator", job("Out of budget", { exitCode: 143 }), /provider stopped the job/],
  [
    "one that never began",
    { status: "FAILED", statusReason: "Enough.", attempts: [] } as unknown as JobDetail,
    /before it started/,
  ],
  ["one without a result", { status: "SUCCEEDED" } as JobDetail, /without a result/],
  ["one that Batch forgot", undefined, /not known any more/],
])("%s is explained, with what to do", (_, ended, message) => {
  expect(explainEnd(ended)).toMatch(message);
  expect(explainEnd(ended)).toMatch(/costs nothing.*(Submit|Tell)/);
  expect(explainEnd(ended)).not.toMatch(/container in task|i-1|CannotPull/);
});

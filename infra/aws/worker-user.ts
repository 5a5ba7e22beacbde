import type { Stack } from "aws-cdk-lib";
import type * as batch from "aws-cdk-lib/aws-batch";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as s3 from "aws-cdk-lib/aws-s3";
import { definitionArns } from "./jobs.ts";
import { WORKER_RIGHTS } from "./object-rights.ts";
import { grantObjects } from "./roles.ts";
import type { Settings } from "./settings.ts";

/** Whom the Worker signs in as. Its access key is made by hand (docs/deploy.md), so that no template and no output ever has it. */
export function addWorkerUser(
  stack: Stack,
  { prefix }: Settings,
  queues: readonly batch.JobQueue[],
  own: s3.Bucket | undefined,
): iam.User {
  const user = new iam.User(stack, "Worker", { userName: `${prefix}-worker` });
  const allow = (actions: string[], resources: string[]) =>
    user.addToPolicy(new iam.PolicyStatement({ actions, resources }));
  const queueArns = queues.map(({ jobQueueArn }) => jobQueueArn);
  const definitions = (["transfer", "predict"] as const).flatMap((kind) => definitionArns(stack, prefix, kind));
  allow(["batch:SubmitJob"], [...queueArns, ...definitions]);
  allow(
    ["batch:TerminateJob", "batch:CancelJob"],
    [stack.formatArn({ service: "batch", resource: "job", resourceName: "*" })],
  );
  // Batch knows these for everything or for nothing.
  allow(["batch:DescribeJobs", "batch:ListJobs"], ["*"]);
  user.addToPolicy(
    new iam.PolicyStatement({
      actions: ["cloudwatch:PutMetricData"],
      resources: ["*"],
      conditions: { StringEquals: { "cloudwatch:namespace": prefix } },
    }),
  );
  if (own) grantObjects(user, own, WORKER_RIGHTS);
  return user;
}

import type { Stack } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as s3 from "aws-cdk-lib/aws-s3";
import type { Kind } from "../definitions.ts";
import { JOB_RIGHTS, type ObjectRights } from "./object-rights.ts";

const machines = new iam.ServicePrincipal("ec2.amazonaws.com");
const containers = new iam.ServicePrincipal("ecs-tasks.amazonaws.com");

/** What the program of a kind of job may do on AWS: nothing, unless the bucket is there. */
export function addJobRole(stack: Stack, kind: Kind, own: s3.Bucket | undefined): iam.Role {
  const role = new iam.Role(stack, `${capital(kind)}Role`, { assumedBy: containers });
  if (!own) return role;
  grantObjects(role, own, JOB_RIGHTS[kind]);
  return role;
}

/** Lets a role or user at the objects with these keys. */
export function grantObjects(grantee: iam.IIdentity, own: s3.IBucket, { read, write, remove }: ObjectRights): void {
  const allow = (actions: string[], keys: readonly string[]) => {
    if (keys.length === 0) return;
    const resources = keys.map((key) => own.arnForObjects(key));
    grantee.addToPrincipalPolicy(new iam.PolicyStatement({ actions, resources }));
  };
  allow(["s3:GetObject"], read);
  allow(["s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"], write);
  allow(["s3:DeleteObject"], remove);
  grantee.addToPrincipalPolicy(
    new iam.PolicyStatement({
      // Without the first, S3 answers "not allowed" and not "not there" for an object that isn't.
      actions: ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
      resources: [own.bucketArn],
    }),
  );
}

/**
 * What the agent on a machine may do: take part in its cluster. AWS's own policy for this also lets it make clusters, read every image of the account and
 * write into every log; images, secrets and logs of jobs come with the jobs' own role for starting ({@link addExecutionRole}).
 */
export function addMachineRole(stack: Stack): iam.Role {
  const role = new iam.Role(stack, "MachineRole", { assumedBy: machines });
  const allow = (actions: string[], resources: string[]) =>
    role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
  const ecs = (resource: string) => stack.formatArn({ service: "ecs", resource, resourceName: "*" });
  allow(["ecs:DiscoverPollEndpoint"], ["*"]);
  allow(
    [
      "ecs:RegisterContainerInstance",
      "ecs:DeregisterContainerInstance",
      "ecs:UpdateContainerInstancesState",
      "ecs:StartTelemetrySession",
      "ecs:Poll",
      "ecs:SubmitTaskStateChange",
      "ecs:SubmitContainerStateChange",
      "ecs:SubmitAttachmentStateChanges",
    ],
    [ecs("cluster"), ecs("container-instance")],
  );
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ["ecs:TagResource"],
      resources: [ecs("container-instance")],
      conditions: { StringEquals: { "ecs:CreateAction": "RegisterContainerInstance" } },
    }),
  );
  return role;
}

/** What starts a job's container with: the image, the log and the secrets, which the job definitions grant it one by one. */
export function addExecutionRole(stack: Stack): iam.Role {
  return new iam.Role(stack, "StarterRole", { assumedBy: containers });
}

function capital(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}

import type { Stack } from "aws-cdk-lib";
import * as iam from "aws-cdk-lib/aws-iam";
import type * as s3 from "aws-cdk-lib/aws-s3";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { Kind } from "../definitions.ts";

const containers = new iam.ServicePrincipal("ecs-tasks.amazonaws.com");

/** Everything that a job may read. */
const READ = ["models/*", "public-sets/*", "states/*", "jobs/*", bucket.catalogue];
/** What a kind of job writes: only a distillation publishes. */
const WRITE: Readonly<Record<Kind, readonly string[]>> = {
  transfer: ["jobs/*", "states/*"],
  predict: ["jobs/*"],
  distill: ["jobs/*", "models/*", bucket.catalogue],
};
/** A job cleans up after itself. */
const DELETE = [`jobs/*/${jobFiles.checkpoint}*`];

/** What the program of a kind of job may do on AWS: nothing, unless the bucket is there. */
export function addJobRole(stack: Stack, kind: Kind, own: s3.Bucket | undefined): iam.Role {
  const role = new iam.Role(stack, `${capital(kind)}Role`, { assumedBy: containers });
  if (!own) return role;
  const allow = (action: string, keys: readonly string[]) => {
    const resources = keys.map((key) => own.arnForObjects(key));
    role.addToPolicy(new iam.PolicyStatement({ actions: [action], resources }));
  };
  allow("s3:GetObject", READ);
  allow("s3:PutObject", WRITE[kind]);
  allow("s3:DeleteObject", DELETE);
  // Without it, S3 answers "not allowed" and not "not there" for an object that isn't.
  role.addToPolicy(new iam.PolicyStatement({ actions: ["s3:ListBucket"], resources: [own.bucketArn] }));
  return role;
}

/** What starts a job's container with: the image, the log and the secrets, which the job definitions grant it one by one. */
export function addExecutionRole(stack: Stack): iam.Role {
  return new iam.Role(stack, "StarterRole", { assumedBy: containers });
}

function capital(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}

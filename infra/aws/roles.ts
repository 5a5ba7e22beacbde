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
/** A job cleans up after itself, and takes transfers off the waiting list. */
const DELETE = [`jobs/*/${jobFiles.checkpoint}*`, "waiting/*"];

/** What the program of a kind of job may do on AWS: nothing, unless the bucket is there. */
export function addJobRole(stack: Stack, kind: Kind, own: s3.Bucket | undefined): iam.Role {
  const role = new iam.Role(stack, `${capital(kind)}Role`, { assumedBy: containers });
  if (!own) return role;
  grantObjects(role, own, { read: READ, write: WRITE[kind], remove: DELETE });
  return role;
}

/** Lets a role or user at the objects with these keys, where `*` stands for anything. */
export function grantObjects(
  grantee: iam.IIdentity,
  own: s3.Bucket,
  { read, write, remove }: Readonly<Record<"read" | "write" | "remove", readonly string[]>>,
): void {
  const allow = (action: string, resources: string[]) =>
    grantee.addToPrincipalPolicy(new iam.PolicyStatement({ actions: [action], resources }));
  allow(
    "s3:GetObject",
    read.map((key) => own.arnForObjects(key)),
  );
  allow(
    "s3:PutObject",
    write.map((key) => own.arnForObjects(key)),
  );
  allow(
    "s3:DeleteObject",
    remove.map((key) => own.arnForObjects(key)),
  );
  // Without it, S3 answers "not allowed" and not "not there" for an object that isn't.
  allow("s3:ListBucket", [own.bucketArn]);
}

/** What starts a job's container with: the image, the log and the secrets, which the job definitions grant it one by one. */
export function addExecutionRole(stack: Stack): iam.Role {
  return new iam.Role(stack, "StarterRole", { assumedBy: containers });
}

function capital(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}

import { CfnParameter, type Stack } from "aws-cdk-lib";
import * as ecs from "aws-cdk-lib/aws-ecs";
import type * as iam from "aws-cdk-lib/aws-iam";
import * as s3 from "aws-cdk-lib/aws-s3";
import * as secrets from "aws-cdk-lib/aws-secretsmanager";
import { bucket } from "../../../shared/protocol/bucket.ts";
import type { ObjectRights } from "../object-rights.ts";
import { grantObjects } from "../roles.ts";
import type { Settings } from "../settings.ts";

/** What a deployment says, and what is put in by hand. */
export interface ServingInputs {
  readonly target: string;
  readonly vllmImage: string;
  readonly tunnelImage: string;
  readonly servingSecret: secrets.ISecret;
  readonly tunnelToken: secrets.ISecret;
  /** How the bucket is reached. */
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, ecs.Secret>>;
  /** Lets a role at the target and the prompts, where the bucket is on S3. */
  grantRead(role: iam.IRole): void;
}

/** The target and transferred prompts, and nothing is written. */
const RIGHTS: ObjectRights = {
  read: [bucket.catalogue, `${bucket.model("*")}*`, `${bucket.job("*")}*`],
  write: [],
  remove: [],
};

export function addServingInputs(stack: Stack, { r2Bucket, region }: Settings): ServingInputs {
  const parameter = (id: string, description: string, allowedPattern: string) =>
    new CfnParameter(stack, id, { description, allowedPattern }).valueAsString;
  const image = "[a-z0-9./-]+(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64}";
  const own = {
    target: parameter("Target", "The target's name in the catalogue", "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    vllmImage: parameter("VllmImage", "vllm/vllm-openai with its digest", image),
    tunnelImage: parameter("TunnelImage", "cloudflare/cloudflared with its digest", image),
    servingSecret: new secrets.Secret(stack, "ServingSecret", {
      description: "What the Worker signs tickets with: its SERVING_SECRET",
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
    }),
    // What it holds at first opens nothing.
    tunnelToken: new secrets.Secret(stack, "TunnelToken", { description: "The token of a tunnel, from Cloudflare" }),
  };
  if (r2Bucket === undefined) {
    const name = parameter("BucketName", "The output BucketName of the stack of the jobs", "[a-z0-9.-]{3,63}");
    const environment = { SOFTPOST_BUCKET: name, AWS_REGION: region };
    const grantRead = (role: iam.IRole) => grantObjects(role, s3.Bucket.fromBucketName(stack, "Bucket", name), RIGHTS);
    return { ...own, environment, secrets: {}, grantRead };
  }
  const endpoint = parameter(
    "R2Endpoint",
    "The bucket's S3 door",
    "https://[0-9a-f]{32}(\\.(eu|fedramp))?\\.r2\\.cloudflarestorage\\.com",
  );
  const arn = parameter(
    "R2TokenArn",
    "A secret with accessKeyId and secretAccessKey, object read only",
    "arn:.+:secretsmanager:.+",
  );
  const token = secrets.Secret.fromSecretCompleteArn(stack, "R2Token", arn);
  return {
    ...own,
    environment: { SOFTPOST_BUCKET: r2Bucket, SOFTPOST_S3_ENDPOINT: endpoint },
    secrets: {
      AWS_ACCESS_KEY_ID: ecs.Secret.fromSecretsManager(token, "accessKeyId"),
      AWS_SECRET_ACCESS_KEY: ecs.Secret.fromSecretsManager(token, "secretAccessKey"),
    },
    grantRead: () => {},
  };
}

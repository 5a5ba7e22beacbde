import { CfnParameter, Duration, RemovalPolicy, type Stack } from "aws-cdk-lib";
import * as batch from "aws-cdk-lib/aws-batch";
import * as s3 from "aws-cdk-lib/aws-s3";
import * as secrets from "aws-cdk-lib/aws-secretsmanager";
import type { Settings } from "./settings.ts";

/** How the jobs reach the bucket. */
export interface BucketDoor {
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, batch.Secret>>;
  /** The bucket where it is the stack's own. */
  readonly own: s3.Bucket | undefined;
  /** Where R2's token is put in. */
  readonly token: secrets.Secret | undefined;
}

/** R2 through its S3 door with a token of its own, or a bucket of the stack with the jobs' roles. */
export function addBucket(stack: Stack, settings: Settings): BucketDoor {
  return settings.r2Bucket !== undefined ? openR2(stack, settings.r2Bucket) : ownBucket(stack, settings);
}

function openR2(stack: Stack, bucketName: string): BucketDoor {
  const endpoint = new CfnParameter(stack, "R2Endpoint", {
    description: "The bucket's S3 door: https://ACCOUNT.r2.cloudflarestorage.com",
    allowedPattern: "https://[0-9a-f]{32}(\\.(eu|fedramp))?\\.r2\\.cloudflarestorage\\.com",
  });
  // What it holds at first opens nothing: the token's two halves are put in by hand, and in no template.
  const token = new secrets.Secret(stack, "R2Token", {
    description: "An R2 API token for the one bucket, object read and write: accessKeyId, secretAccessKey",
    generateSecretString: {
      secretStringTemplate: JSON.stringify({ accessKeyId: "" }),
      generateStringKey: "secretAccessKey",
    },
  });
  return {
    environment: { SOFTPOST_BUCKET: bucketName, SOFTPOST_S3_ENDPOINT: endpoint.valueAsString },
    secrets: {
      AWS_ACCESS_KEY_ID: batch.Secret.fromSecretsManager(token, "accessKeyId"),
      AWS_SECRET_ACCESS_KEY: batch.Secret.fromSecretsManager(token, "secretAccessKey"),
    },
    own: undefined,
    token,
  };
}

function ownBucket(stack: Stack, { region }: Settings): BucketDoor {
  const own = new s3.Bucket(stack, "Bucket", {
    encryption: s3.BucketEncryption.S3_MANAGED,
    blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
    enforceSSL: true,
    lifecycleRules: [{ abortIncompleteMultipartUploadAfter: Duration.days(1) }],
    // Kept with what is in it, but not where the stack itself was never made: then it could not be made again.
    removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
  });
  return { environment: { SOFTPOST_BUCKET: own.bucketName, AWS_REGION: region }, secrets: {}, own, token: undefined };
}

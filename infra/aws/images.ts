import { RemovalPolicy, type Stack } from "aws-cdk-lib";
import * as ecr from "aws-cdk-lib/aws-ecr";
import * as logs from "aws-cdk-lib/aws-logs";
import type { Settings } from "./settings.ts";

/** Older images are of no use: what runs names the newest. */
const KEPT_IMAGES = 10;

/**
 * Where the images of a program are kept, and its log.
 * @param name of the program: part of the repository's and of the log's
 */
export function addImagesAndLog(stack: Stack, { prefix, logDays }: Settings, name: "jobs" | "serving") {
  const repository = new ecr.Repository(stack, "Images", {
    repositoryName: `${prefix}-${name}`,
    imageScanOnPush: true,
    imageTagMutability: ecr.TagMutability.IMMUTABLE,
    lifecycleRules: [{ maxImageCount: KEPT_IMAGES }],
    // Images can be built again, and a repository that stayed would keep the stack from being made again.
    removalPolicy: RemovalPolicy.DESTROY,
    emptyOnDelete: true,
  });
  const logGroup = new logs.LogGroup(stack, "Log", {
    logGroupName: `/${prefix}/${name}`,
    retention: logDays as logs.RetentionDays,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  return { repository, logGroup };
}

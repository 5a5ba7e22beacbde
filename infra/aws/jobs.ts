import { Duration, Size, type Stack } from "aws-cdk-lib";
import * as batch from "aws-cdk-lib/aws-batch";
import * as ecs from "aws-cdk-lib/aws-ecs";
import {
  ATTEMPTS,
  definitionName,
  jobArguments,
  type Kind,
  kinds,
  resources,
  retryRules,
  TRANSFER_CAPACITY,
} from "../definitions.ts";
import type { BucketDoor } from "./bucket.ts";
import { addImagesAndLog } from "./images.ts";
import { JOB_USER, SCRATCH } from "./machines.ts";
import { addExecutionRole, addJobRole } from "./roles.ts";
import type { Settings } from "./settings.ts";

/** The repository of the jobs' image, their log, and a definition for every kind of job. */
export function addJobs(stack: Stack, settings: Settings, door: BucketDoor) {
  const { prefix, version } = settings;
  const { repository, logGroup } = addImagesAndLog(stack, settings, "jobs");
  const executionRole = addExecutionRole(stack);
  for (const kind of kinds) {
    const { vcpus, memoryMiB, gpus, timeoutSeconds } = resources[kind];
    const container = new batch.EcsEc2ContainerDefinition(stack, `${kind}Container`, {
      image: ecs.ContainerImage.fromEcrRepository(repository, version),
      command: jobArguments(kind),
      cpu: vcpus,
      memory: Size.mebibytes(memoryMiB),
      gpu: gpus,
      environment: {
        ...door.environment,
        SOFTPOST_THREADS: String(vcpus),
        SOFTPOST_DEVICE_BYTES: String(TRANSFER_CAPACITY.device),
        SOFTPOST_HOST_BYTES: String(TRANSFER_CAPACITY.host),
      },
      secrets: { ...door.secrets },
      volumes: [batch.EcsVolume.host({ name: "scratch", hostPath: SCRATCH, containerPath: SCRATCH })],
      readonlyRootFilesystem: true,
      user: JOB_USER,
      executionRole,
      jobRole: addJobRole(stack, kind, door.own),
      logging: ecs.LogDriver.awsLogs({ logGroup, streamPrefix: kind }),
    });
    new batch.EcsJobDefinition(stack, `${kind}Definition`, {
      jobDefinitionName: definitionName(prefix, kind),
      container,
      timeout: Duration.seconds(timeoutSeconds),
      retryAttempts: ATTEMPTS,
      retryStrategies: retryRules.map(({ action, ...on }) =>
        batch.RetryStrategy.of(batch.Action[action], batch.Reason.custom(on)),
      ),
      propagateTags: true,
    });
  }
  return { repository, logGroup };
}

/** Both names of a definition that IAM knows: without a revision, as the Worker submits, and with any. */
export function definitionArns(stack: Stack, prefix: string, kind: Kind): string[] {
  const arn = stack.formatArn({
    service: "batch",
    resource: "job-definition",
    resourceName: definitionName(prefix, kind),
  });
  return [arn, `${arn}:*`];
}

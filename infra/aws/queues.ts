import { Duration, type Stack } from "aws-cdk-lib";
import * as batch from "aws-cdk-lib/aws-batch";
import * as ec2 from "aws-cdk-lib/aws-ec2";
import type * as iam from "aws-cdk-lib/aws-iam";
import type { Settings } from "./settings.ts";

/** Sizes with one GPU, and their vCPUs: a job uses one GPU, and a larger machine would be paid for whole. */
const SIZES = { xlarge: 4, "2xlarge": 8, "4xlarge": 16 } as const;
/** A10G (g5) and L4 (g6), both with 24 GB: the more kinds Spot can choose from, the seldomer it takes one back. */
const INSTANCE_TYPES = ["g5", "g6"].flatMap((family) =>
  Object.keys(SIZES).map((size) => new ec2.InstanceType(`${family}.${size}`)),
);
/** Batch counts vCPUs, not GPUs: so many are as many GPUs at most, and where only the largest size is to be had a quarter of them. */
const VCPUS_PER_GPU = SIZES.xlarge;
/** Batch may start one machine more than its limit says; the account's quota must have room for it. */
const VCPUS_BEYOND = SIZES["4xlarge"];

/** vCPUs that the account's quota must allow for so many GPUs. */
export const quotaFor = (gpus: number): number => (gpus === 0 ? 0 : VCPUS_PER_GPU * gpus + VCPUS_BEYOND);

/** How long machines of an earlier set-up are waited for. */
const UPDATE_WAIT = Duration.minutes(60);
/** A job that no machine of ours could ever run says so, and doesn't wait for good. */
const MISFIT = Duration.minutes(10);

interface Machines {
  readonly vpc: ec2.IVpc;
  readonly securityGroup: ec2.ISecurityGroup;
  readonly launchTemplate: ec2.LaunchTemplate;
  readonly instanceRole: iam.IRole;
}

/**
 * The queue that the Worker submits to, on Spot machines that are there only while there are jobs, and where it is wanted one beside it on machines that
 * nobody takes back, at about twice the price: `BATCH_QUEUE` of the Worker says which.
 */
export function addQueues(stack: Stack, settings: Settings, machines: Machines): batch.JobQueue[] {
  const { prefix, maxGpus, maxOnDemandGpus } = settings;
  const spot = addQueue(stack, "Spot", prefix, {
    ...environment(machines, maxGpus),
    spot: true,
    allocationStrategy: batch.AllocationStrategy.SPOT_PRICE_CAPACITY_OPTIMIZED,
  });
  if (maxOnDemandGpus === 0) return [spot];
  const onDemand = addQueue(stack, "OnDemand", `${prefix}-on-demand`, {
    ...environment(machines, maxOnDemandGpus),
    allocationStrategy: batch.AllocationStrategy.BEST_FIT_PROGRESSIVE,
  });
  return [spot, onDemand];
}

function environment({ vpc, securityGroup, launchTemplate, instanceRole }: Machines, gpus: number) {
  return {
    vpc,
    launchTemplate,
    instanceRole,
    maxvCpus: VCPUS_PER_GPU * gpus,
    minvCpus: 0,
    securityGroups: [securityGroup],
    vpcSubnets: { subnetType: ec2.SubnetType.PUBLIC },
    instanceTypes: INSTANCE_TYPES,
    useOptimalInstanceClasses: false,
    images: [{ imageType: batch.EcsMachineImageType.ECS_AL2023_NVIDIA }],
    // Where the machines are replaced, the newest image comes with it. Running jobs end first, or go on elsewhere from their checkpoints.
    updateToLatestImageVersion: true,
    updateTimeout: UPDATE_WAIT,
    terminateOnUpdate: false,
  };
}

function addQueue(
  stack: Stack,
  id: string,
  jobQueueName: string,
  props: batch.ManagedEc2EcsComputeEnvironmentProps & { readonly launchTemplate: ec2.LaunchTemplate },
): batch.JobQueue {
  const computeEnvironment = new batch.ManagedEc2EcsComputeEnvironment(stack, `${id}Machines`, props);
  // Without a version Batch stays with the first for ever; with the number in the template, a change of the machine is one of the environment.
  const resource = computeEnvironment.node.defaultChild as batch.CfnComputeEnvironment;
  const version = props.launchTemplate.latestVersionNumber;
  resource.addPropertyOverride("ComputeResources.LaunchTemplate.Version", version);
  const cancelled = (reason: batch.JobStateTimeLimitActionsReason) => ({ reason, maxTime: MISFIT });
  return new batch.JobQueue(stack, `${id}Queue`, {
    jobQueueName,
    computeEnvironments: [{ computeEnvironment, order: 1 }],
    jobStateTimeLimitActions: [
      cancelled(batch.JobStateTimeLimitActionsReason.COMPUTE_ENVIRONMENT_MAX_RESOURCE),
      cancelled(batch.JobStateTimeLimitActionsReason.JOB_RESOURCE_REQUIREMENT),
    ],
  });
}

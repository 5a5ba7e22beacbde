import { Duration, type Stack } from "aws-cdk-lib";
import * as batch from "aws-cdk-lib/aws-batch";
import * as ec2 from "aws-cdk-lib/aws-ec2";
import type { Settings } from "./settings.ts";

/** Sizes with one GPU: a job uses one, and a larger machine would be paid for whole. */
const SIZES = ["xlarge", "2xlarge", "4xlarge"];
/** A10G (g5) and L4 (g6), both with 24 GB: the more kinds Spot can choose from, the seldomer it takes one back. */
const INSTANCE_TYPES = ["g5", "g6"].flatMap((family) => SIZES.map((size) => new ec2.InstanceType(`${family}.${size}`)));
/** A job that no machine of ours could ever run says so, and doesn't wait for good. */
const MISFIT = Duration.minutes(10);

interface Machines {
  readonly vpc: ec2.IVpc;
  readonly securityGroup: ec2.ISecurityGroup;
  readonly launchTemplate: ec2.ILaunchTemplate;
}

/**
 * The queue that the Worker submits to, on Spot machines that are there only while there are jobs, and where it is wanted one beside it on machines that
 * nobody takes back, at about twice the price: `BATCH_QUEUE` of the Worker says which.
 */
export function addQueues(stack: Stack, settings: Settings, machines: Machines): batch.JobQueue[] {
  const { prefix, maxVcpus, maxOnDemandVcpus } = settings;
  const spot = addQueue(stack, "Spot", prefix, {
    ...environment(machines, maxVcpus),
    spot: true,
    allocationStrategy: batch.AllocationStrategy.SPOT_PRICE_CAPACITY_OPTIMIZED,
  });
  if (maxOnDemandVcpus === 0) return [spot];
  const onDemand = addQueue(stack, "OnDemand", `${prefix}-on-demand`, {
    ...environment(machines, maxOnDemandVcpus),
    allocationStrategy: batch.AllocationStrategy.BEST_FIT_PROGRESSIVE,
  });
  return [spot, onDemand];
}

function environment({ vpc, securityGroup, launchTemplate }: Machines, maxvCpus: number) {
  return {
    vpc,
    launchTemplate,
    maxvCpus,
    minvCpus: 0,
    securityGroups: [securityGroup],
    vpcSubnets: { subnetType: ec2.SubnetType.PUBLIC },
    instanceTypes: INSTANCE_TYPES,
    useOptimalInstanceClasses: false,
    images: [{ imageType: batch.EcsMachineImageType.ECS_AL2023_NVIDIA }],
    // A change of the stack also brings the newest machine image; running jobs end first, or go on elsewhere.
    updateToLatestImageVersion: true,
  };
}

function addQueue(
  stack: Stack,
  id: string,
  jobQueueName: string,
  props: batch.ManagedEc2EcsComputeEnvironmentProps,
): batch.JobQueue {
  const computeEnvironment = new batch.ManagedEc2EcsComputeEnvironment(stack, `${id}Machines`, props);
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

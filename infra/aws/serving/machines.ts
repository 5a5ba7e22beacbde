import type { Stack } from "aws-cdk-lib";
import * as autoscaling from "aws-cdk-lib/aws-autoscaling";
import * as ec2 from "aws-cdk-lib/aws-ec2";
import * as ecs from "aws-cdk-lib/aws-ecs";
import { CLOSE_METADATA, PREPARE_SCRATCH } from "../machines.ts";
import { addMachineRole } from "../roles.ts";
import type { Settings } from "../settings.ts";
import type { addServingNetwork } from "./network.ts";

/** 4 vCPUs, 16 GiB, an L4 with 24 GB, and an SSD for the model. */
const MACHINE = "g6.xlarge";
/** vLLM's image alone has 10 GB. */
const ROOT_GIB = 100;

/** A cluster whose machines have a GPU each; there are as many as tasks. */
export function addServingMachines(
  stack: Stack,
  { maxServingGpus }: Pick<Settings, "maxServingGpus">,
  { vpc, machines }: ReturnType<typeof addServingNetwork>,
): { cluster: ecs.Cluster; provider: ecs.AsgCapacityProvider } {
  const cluster = new ecs.Cluster(stack, "Cluster", { vpc, containerInsightsV2: ecs.ContainerInsights.DISABLED });
  const userData = ec2.UserData.forLinux();
  userData.addCommands(
    "set -euo pipefail",
    "trap poweroff ERR",
    ...`${CLOSE_METADATA}${PREPARE_SCRATCH}`.trim().split("\n"),
  );
  userData.addCommands("mkdir -p /scratch/serving && chown 10001:10001 /scratch/serving");
  const role = addMachineRole(stack);
  const launchTemplate = new ec2.LaunchTemplate(stack, "Machine", {
    instanceType: new ec2.InstanceType(MACHINE),
    machineImage: ecs.EcsOptimizedImage.amazonLinux2023(ecs.AmiHardwareType.GPU),
    userData,
    role,
    securityGroup: machines,
    associatePublicIpAddress: false,
    blockDevices: [
      {
        deviceName: "/dev/xvda",
        volume: ec2.BlockDeviceVolume.ebs(ROOT_GIB, { encrypted: true, volumeType: ec2.EbsDeviceVolumeType.GP3 }),
      },
    ],
    requireImdsv2: true,
    httpPutResponseHopLimit: 1,
  });
  const group = new autoscaling.AutoScalingGroup(stack, "Group", {
    vpc,
    vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
    launchTemplate,
    minCapacity: 0,
    maxCapacity: maxServingGpus,
    newInstancesProtectedFromScaleIn: true,
  });
  const provider = new ecs.AsgCapacityProvider(stack, "Capacity", { autoScalingGroup: group });
  cluster.addAsgCapacityProvider(provider);
  return { cluster, provider };
}

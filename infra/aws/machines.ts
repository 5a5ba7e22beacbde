import { CfnParameter, type Stack, Tags } from "aws-cdk-lib";
import * as ec2 from "aws-cdk-lib/aws-ec2";

/** Mounted into every job, and all that a job can write to. */
export const SCRATCH = "/scratch";
/** Whom the image runs as (batch/Dockerfile). */
export const JOB_USER = "10001:10001";
/** The operating system and a few versions of the image, which has about 5 GB. */
const ROOT_GIB = 60;

/**
 * Jobs run in the machine's own network, where the hop limit of the metadata service stops nobody. So only root, as which the machine's agents run,
 * reaches the service that gives out the machine's credentials. A job's own credentials come from another address (169.254.170.2), which stays open.
 */
export const CLOSE_METADATA = `iptables -I OUTPUT -d 169.254.169.254 -m owner ! --uid-owner 0 -j REJECT
ip6tables -I OUTPUT -d fd00:ec2::254 -m owner ! --uid-owner 0 -j REJECT
`;

/** The machine's own SSD, which every g5 and g6 has, becomes the scratch volume. It is encrypted by hardware, and gone with the machine. */
export const PREPARE_SCRATCH = `mkdir -p ${SCRATCH}
disk=$(find /dev/disk/by-id -name 'nvme-Amazon_EC2_NVMe_Instance_Storage_*' | sort | head -n 1)
if [ -n "$disk" ]; then
  mkfs.xfs -q -f "$disk"
  mount "$disk" ${SCRATCH}
fi
mkdir -p ${SCRATCH}/models ${SCRATCH}/tmp
chown -R ${JOB_USER} ${SCRATCH}
chmod 700 ${SCRATCH}
`;

/** Runs before the machine takes jobs. One that can't be set up so goes away and takes none. */
export const SET_UP = `#!/bin/bash
set -euo pipefail
trap 'logger -t softpost "set-up failed at line $LINENO"; poweroff' ERR
${CLOSE_METADATA}${PREPARE_SCRATCH}`;

/** How a GPU machine is set up before it takes jobs. */
export function addMachines(stack: Stack): ec2.LaunchTemplate {
  const images = new CfnParameter(stack, "MachineImages", {
    description: "Any word; another one than before brings the newest machine image",
    default: "first",
    allowedPattern: "[A-Za-z0-9-]{1,64}",
  });
  const userData = new ec2.MultipartUserData();
  userData.addPart(ec2.MultipartBody.fromRawBody({ contentType: "text/x-shellscript", body: SET_UP }));
  const template = new ec2.LaunchTemplate(stack, "Machine", {
    userData,
    blockDevices: [
      {
        deviceName: "/dev/xvda",
        volume: ec2.BlockDeviceVolume.ebs(ROOT_GIB, { encrypted: true, volumeType: ec2.EbsDeviceVolumeType.GP3 }),
      },
    ],
    requireImdsv2: true,
    httpPutResponseHopLimit: 1,
    httpProtocolIpv6: false,
    instanceInitiatedShutdownBehavior: ec2.InstanceInitiatedShutdownBehavior.TERMINATE,
  });
  Tags.of(template).add("Name", `${stack.stackName}-job`);
  // A new word makes a new version of the template, and that an update of the machines (queues.ts).
  Tags.of(template).add("images", images.valueAsString);
  return template;
}

import { type Stack, Tags } from "aws-cdk-lib";
import * as ec2 from "aws-cdk-lib/aws-ec2";

/** Mounted into every job, and all that a job can write to. */
export const SCRATCH = "/scratch";
/** Whom the image runs as (batch/Dockerfile). */
export const JOB_USER = "10001:10001";
/** The operating system and a few versions of the image, which has about 5 GB. */
const ROOT_GIB = 60;

/** The machine's own SSD, which every g5 and g6 has, becomes the scratch volume. It is encrypted by hardware, and gone with the machine. */
export const PREPARE_SCRATCH = `#!/bin/bash
set -euo pipefail
mkdir -p ${SCRATCH}
disk=$(find /dev/disk/by-id -name 'nvme-Amazon_EC2_NVMe_Instance_Storage_*' | sort | head -n 1)
if [ -n "$disk" ]; then
  mkfs.xfs -q -f "$disk"
  mount "$disk" ${SCRATCH}
fi
mkdir -p ${SCRATCH}/models ${SCRATCH}/tmp
chown -R ${JOB_USER} ${SCRATCH}
chmod 700 ${SCRATCH}
`;

/** How a GPU machine is set up before it takes jobs. */
export function addMachines(stack: Stack): ec2.LaunchTemplate {
  const userData = new ec2.MultipartUserData();
  userData.addPart(ec2.MultipartBody.fromRawBody({ contentType: "text/x-shellscript", body: PREPARE_SCRATCH }));
  const template = new ec2.LaunchTemplate(stack, "Machine", {
    userData,
    blockDevices: [
      {
        deviceName: "/dev/xvda",
        volume: ec2.BlockDeviceVolume.ebs(ROOT_GIB, { encrypted: true, volumeType: ec2.EbsDeviceVolumeType.GP3 }),
      },
    ],
    // With one hop, a container can't ask for the machine's own credentials.
    requireImdsv2: true,
    httpPutResponseHopLimit: 1,
  });
  Tags.of(template).add("Name", `${stack.stackName}-job`);
  return template;
}

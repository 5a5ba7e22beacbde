import type { Stack } from "aws-cdk-lib";
import * as ec2 from "aws-cdk-lib/aws-ec2";

/** Addresses of all subnets together, and those of one: there is room for as many as a region has zones, and a zone can be added later. */
const ADDRESSES = "10.0.0.0/16";
const SUBNET_BITS = 20;

/**
 * Public subnets without a NAT gateway, which would cost more than a small provider's GPUs. Nothing can connect to a machine; it connects to HTTPS
 * only (the VPC's own name server isn't subject to security groups).
 *
 * @param zones names of the availability zones: GPUs are often to be had in one and not in another
 */
export function addNetwork(stack: Stack, zones: readonly string[]): { vpc: ec2.Vpc; securityGroup: ec2.SecurityGroup } {
  const vpc = new ec2.Vpc(stack, "Network", {
    natGateways: 0,
    ipAddresses: ec2.IpAddresses.cidr(ADDRESSES),
    availabilityZones: [...zones],
    subnetConfiguration: [
      { name: "public", subnetType: ec2.SubnetType.PUBLIC, cidrMask: SUBNET_BITS, mapPublicIpOnLaunch: true },
    ],
    // Images' layers come from S3: this way costs nothing.
    gatewayEndpoints: { Images: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
    // It would take a Lambda function to do so; no machine is in that group.
    restrictDefaultSecurityGroup: false,
  });
  const securityGroup = new ec2.SecurityGroup(stack, "Machines", {
    vpc,
    description: "GPU machines of softpost: no way in, HTTPS out",
    allowAllOutbound: false,
  });
  securityGroup.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443), "HTTPS");
  return { vpc, securityGroup };
}

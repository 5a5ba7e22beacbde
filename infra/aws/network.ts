import type { Stack } from "aws-cdk-lib";
import * as ec2 from "aws-cdk-lib/aws-ec2";

/**
 * Public subnets without a NAT gateway, which would cost more than a small provider's GPUs. Nothing can connect to a machine; it connects to HTTPS
 * only (the VPC's own name server isn't subject to security groups).
 */
export function addNetwork(stack: Stack): { vpc: ec2.Vpc; securityGroup: ec2.SecurityGroup } {
  const vpc = new ec2.Vpc(stack, "Network", {
    natGateways: 0,
    subnetConfiguration: [{ name: "public", subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: true }],
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

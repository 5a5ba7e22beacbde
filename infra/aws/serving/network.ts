import type { Stack } from "aws-cdk-lib";
import * as ec2 from "aws-cdk-lib/aws-ec2";

const ADDRESSES = "10.1.0.0/16";
const SUBNET_BITS = 20;
/** Where Cloudflare's tunnels are: the only way that requests come. */
const TUNNEL_PORT = 7844;

/**
 * A private network: machines and tasks have no public address, and nothing can connect to them. They connect to HTTPS and to the tunnel, through
 * one NAT gateway.
 */
export function addServingNetwork(stack: Stack, zones: readonly string[]) {
  const { PUBLIC, PRIVATE_WITH_EGRESS } = ec2.SubnetType;
  const vpc = new ec2.Vpc(stack, "Network", {
    natGateways: 1,
    ipAddresses: ec2.IpAddresses.cidr(ADDRESSES),
    availabilityZones: [...zones],
    subnetConfiguration: [
      // For the gateway alone.
      { name: "gateway", subnetType: PUBLIC, cidrMask: SUBNET_BITS, mapPublicIpOnLaunch: false },
      { name: "private", subnetType: PRIVATE_WITH_EGRESS, cidrMask: SUBNET_BITS },
    ],
    // Images' layers and a bucket of one's own come from S3: this way costs nothing.
    gatewayEndpoints: { Images: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
    restrictDefaultSecurityGroup: false,
  });
  const group = (id: string, description: string) => {
    const made = new ec2.SecurityGroup(stack, id, { vpc, description, allowAllOutbound: false });
    made.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(443), "HTTPS");
    return made;
  };
  const tasks = group("Tasks", "Serving processes of softpost: no way in, HTTPS and the tunnel out");
  tasks.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(TUNNEL_PORT), "Tunnel");
  tasks.addEgressRule(ec2.Peer.anyIpv4(), ec2.Port.udp(TUNNEL_PORT), "Tunnel, QUIC");
  return { vpc, tasks, machines: group("Machines", "GPU machines of softpost: no way in, HTTPS out") };
}

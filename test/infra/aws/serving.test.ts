import { App } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { ServingStack } from "../../../infra/aws/serving/stack.ts";
import { readSettings, type Settings, stages } from "../../../infra/aws/settings.ts";
import { LEVELS_METRIC } from "../../../shared/protocol/serving-metric.ts";
import { diagnose, MAX_TEMPLATE_BYTES, minded, of, type Properties } from "./templates.ts";

const settings = readSettings("production");
const synthesise = (change: Partial<Settings> = {}) =>
  Template.fromStack(new ServingStack(new App(), { ...settings, ...change }));
const onR2 = synthesise();
const onS3 = synthesise({ r2Bucket: undefined });

const containers = (template: Template): Record<string, Properties> =>
  Object.fromEntries(
    of(template, "AWS::ECS::TaskDefinition")[0].ContainerDefinitions.map((each: Properties) => [each.Name, each]),
  );

describe("every stage", () => {
  test.each(stages)("%s is what CloudFormation's schemas want, and small enough to be sent", (stage) => {
    const text = JSON.stringify(synthesise(readSettings(stage)).toJSON());
    expect(minded(diagnose(text))).toEqual([]);
    expect(text.length).toBeLessThan(MAX_TEMPLATE_BYTES);
  });

  test("brings nothing that would have to be uploaded first", () => {
    for (const template of [onR2, onS3]) {
      expect(of(template, "AWS::Lambda::Function")).toEqual([]);
      expect(JSON.stringify(template.toJSON())).not.toContain("BootstrapVersion");
    }
  });
});

describe("nothing of it can be connected to", () => {
  test("no load balancer, no way in, no public address", () => {
    expect(of(onR2, "AWS::ElasticLoadBalancingV2::LoadBalancer")).toEqual([]);
    expect(of(onR2, "AWS::EC2::SecurityGroupIngress")).toEqual([]);
    for (const group of of(onR2, "AWS::EC2::SecurityGroup")) expect(group.SecurityGroupIngress).toBeUndefined();
    for (const subnet of of(onR2, "AWS::EC2::Subnet")) expect(subnet.MapPublicIpOnLaunch).toBe(false);
    const [{ NetworkConfiguration }] = of(onR2, "AWS::ECS::Service");
    expect(NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp).not.toBe("ENABLED");
    onR2.hasResourceProperties("AWS::EC2::LaunchTemplate", {
      LaunchTemplateData: Match.objectLike({
        MetadataOptions: Match.objectLike({ HttpTokens: "required", HttpPutResponseHopLimit: 1 }),
        NetworkInterfaces: [Match.objectLike({ AssociatePublicIpAddress: false })],
        BlockDeviceMappings: [Match.objectLike({ Ebs: Match.objectLike({ Encrypted: true }) })],
      }),
    });
  });

  test("machines and tasks are in subnets whose way out is the gateway", () => {
    const isPrivate = ({ Ref }: { Ref: string }) => Ref.startsWith("NetworkprivateSubnet");
    const [{ VPCZoneIdentifier }] = of(onR2, "AWS::AutoScaling::AutoScalingGroup");
    const [{ NetworkConfiguration }] = of(onR2, "AWS::ECS::Service");
    expect(VPCZoneIdentifier.every(isPrivate)).toBe(true);
    expect(NetworkConfiguration.AwsvpcConfiguration.Subnets.every(isPrivate)).toBe(true);
    expect(VPCZoneIdentifier).toHaveLength(settings.zoneNames.length);
  });

  test("all listen on loopback, and only HTTPS and the tunnel are let out", () => {
    const { serving, vllm } = containers(onR2);
    expect(serving.Environment).toContainEqual({ Name: "HOST", Value: "127.0.0.1" });
    expect(vllm.Command.join(" ")).toContain("--host 127.0.0.1");
    for (const container of Object.values(containers(onR2))) expect(container.PortMappings ?? []).toEqual([]);
    const ports = of(onR2, "AWS::EC2::SecurityGroup").flatMap(({ SecurityGroupEgress }) =>
      SecurityGroupEgress.map(({ FromPort }: Properties) => FromPort),
    );
    expect([...new Set(ports)].sort()).toEqual([443, 7844]);
  });
});

describe("a task", () => {
  test("is a GPU's: the target is fetched, vLLM is well, then the serving process, then the way to it", () => {
    const { fetch, vllm, serving, tunnel } = containers(onR2);
    expect(fetch).toMatchObject({ Essential: false, Command: ["fetch", "/scratch/models/served"] });
    expect(vllm.ResourceRequirements).toEqual([{ Type: "GPU", Value: "1" }]);
    const waits = (container: Properties) =>
      container.DependsOn.map(({ ContainerName, Condition }: Properties) => [ContainerName, Condition]);
    expect([vllm, serving, tunnel].map(waits)).toEqual([
      [["fetch", "SUCCESS"]],
      [["vllm", "HEALTHY"]],
      [["serving", "HEALTHY"]],
    ]);
    for (const container of [vllm, serving]) {
      expect(container.HealthCheck.Command[1]).toMatch(/http:\/\/127\.0\.0\.1:\d+\/health/);
    }
    const drain = serving.Environment.find(({ Name }: Properties) => Name === "SERVING_DRAIN_SECONDS").Value;
    expect(serving.StopTimeout).toBeGreaterThan(Number(drain));
  });

  test("has no secret among its variables, and vLLM logs no request", () => {
    const all = containers(onR2);
    for (const { Environment = [] } of Object.values(all)) {
      expect(Environment.filter(({ Name }: Properties) => /SECRET|TOKEN|KEY/.test(Name))).toEqual([]);
    }
    const names = (container: Properties) => container.Secrets.map(({ Name }: Properties) => Name);
    expect(names(all.serving)).toContain("SERVING_SECRET");
    expect(names(all.tunnel)).toEqual(["TUNNEL_TOKEN"]);
    expect(all.vllm.Secrets).toBeUndefined();
    expect(all.vllm.Command).toEqual(expect.arrayContaining(["--no-enable-log-requests", "--enable-prompt-embeds"]));
  });

  test("runs as nobody on a system that can't be written, and reads the bucket only", () => {
    for (const name of ["fetch", "serving"]) {
      expect(containers(onR2)[name]).toMatchObject({ User: "10001:10001", ReadonlyRootFilesystem: true });
    }
    const actions = (template: Template) =>
      of(template, "AWS::IAM::Policy")
        .flatMap(({ PolicyDocument }) => PolicyDocument.Statement.flatMap(({ Action }: Properties) => Action))
        .filter((action: string) => action.startsWith("s3:"));
    expect(actions(onR2)).toEqual([]);
    expect(actions(onS3).sort()).toEqual(["s3:GetObject", "s3:ListBucket", "s3:ListBucketMultipartUploads"]);
  });

  test("is one of as many as there are requests for, within the stage's bound", () => {
    onR2.hasResourceProperties("AWS::ApplicationAutoScaling::ScalableTarget", {
      MinCapacity: 1,
      MaxCapacity: settings.maxServingGpus,
    });
    onR2.hasResourceProperties("AWS::ApplicationAutoScaling::ScalingPolicy", {
      PolicyType: "TargetTrackingScaling",
      TargetTrackingScalingPolicyConfiguration: Match.objectLike({
        CustomizedMetricSpecification: Match.objectLike({
          Namespace: LEVELS_METRIC.namespace,
          MetricName: LEVELS_METRIC.metricName,
          Dimensions: [{ Name: "target", Value: { Ref: "Target" } }],
          Statistic: "Average",
        }),
      }),
    });
    onR2.hasResourceProperties("AWS::AutoScaling::AutoScalingGroup", { MaxSize: String(settings.maxServingGpus) });
  });
});

import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { App } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { PREPARE_SCRATCH } from "../../../infra/aws/machines.ts";
import { readSettings, type Settings, stages } from "../../../infra/aws/settings.ts";
import { SoftpostStack } from "../../../infra/aws/stack.ts";
import { kinds, resources } from "../../../infra/definitions.ts";
import { BATCH_EVENTS } from "../../../shared/protocol/batch-event.ts";

/** What CloudFormation takes without a bucket to put the template in. */
const MAX_TEMPLATE_BYTES = 51_200;

const settings = readSettings("production");
const synthesise = (change: Partial<Settings> = {}) =>
  Template.fromStack(new SoftpostStack(new App(), { ...settings, ...change }));
const onR2 = synthesise();
const onS3 = synthesise({ r2Bucket: undefined });

// biome-ignore lint/suspicious/noExplicitAny: a template is JSON of many shapes
type Properties = any;
const of = (template: Template, type: string): Properties[] =>
  Object.values(template.findResources(type)).map((resource) => resource.Properties);
const statementsOf = (template: Template): Properties[] =>
  of(template, "AWS::IAM::Policy").flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
const statement = (template: Template, action: string) =>
  statementsOf(template).filter(({ Action }) => [Action].flat().includes(action));

describe("every stage", () => {
  const { CompositeEngine, TemplateContent } = createRequire(createRequire(import.meta.url).resolve("aws-cdk-lib"))(
    "@aws/cloudformation-validate",
  );
  const engine = new CompositeEngine();

  test.each(stages)("%s is what CloudFormation's schemas want, and small enough to be sent", (stage) => {
    const text = JSON.stringify(synthesise(readSettings(stage)).toJSON());
    const { diagnostics } = engine.validateTemplate(new TemplateContent(text)) as {
      diagnostics: { severity: string; ruleId: string; message: string }[];
    };
    expect(diagnostics.length).toBeGreaterThan(0);
    expect(diagnostics.filter(({ severity }) => severity !== "INFO")).toEqual([]);
    expect(text.length).toBeLessThan(MAX_TEMPLATE_BYTES);
    expect(JSON.stringify(onS3.toJSON()).length).toBeLessThan(MAX_TEMPLATE_BYTES);
  });

  test("has names of its own, so that two can share an account", () => {
    const prefixes = stages.map((stage) => readSettings(stage).prefix);
    expect(new Set(prefixes).size).toBe(stages.length);
  });

  test("brings nothing that would have to be uploaded first", () => {
    for (const template of [onR2, onS3]) {
      expect(of(template, "AWS::Lambda::Function")).toEqual([]);
      expect(JSON.stringify(template.toJSON())).not.toContain("BootstrapVersion");
    }
  });
});

describe("the machines", () => {
  test("are Spot, of both GPU families, and none while there is nothing to do", () => {
    onR2.hasResourceProperties("AWS::Batch::ComputeEnvironment", {
      ComputeResources: Match.objectLike({
        Type: "SPOT",
        AllocationStrategy: "SPOT_PRICE_CAPACITY_OPTIMIZED",
        MinvCpus: 0,
        MaxvCpus: settings.maxVcpus,
        InstanceTypes: Match.arrayWith(["g5.xlarge", "g6.xlarge"]),
        Ec2Configuration: [{ ImageType: "ECS_AL2023_NVIDIA" }],
      }),
    });
  });

  test("have a queue beside it that doesn't wait for Spot, where it is wanted", () => {
    const types = of(onR2, "AWS::Batch::ComputeEnvironment").map(({ ComputeResources }) => ComputeResources.Type);
    expect(types).toEqual(["SPOT", "EC2"]);
    expect(of(onR2, "AWS::Batch::JobQueue").map(({ JobQueueName }) => JobQueueName)).toEqual([
      settings.prefix,
      `${settings.prefix}-on-demand`,
    ]);
    expect(of(synthesise({ maxOnDemandVcpus: 0 }), "AWS::Batch::JobQueue")).toHaveLength(1);
  });

  test("take no connection and make only HTTPS ones", () => {
    const [group] = of(onR2, "AWS::EC2::SecurityGroup");
    expect(group.SecurityGroupIngress).toBeUndefined();
    expect(group.SecurityGroupEgress).toEqual([expect.objectContaining({ FromPort: 443, ToPort: 443 })]);
    expect(of(onR2, "AWS::EC2::NatGateway")).toEqual([]);
  });

  test("keep their own credentials from the jobs and encrypt their disks", () => {
    onR2.hasResourceProperties("AWS::EC2::LaunchTemplate", {
      LaunchTemplateData: Match.objectLike({
        MetadataOptions: { HttpTokens: "required", HttpPutResponseHopLimit: 1 },
        BlockDeviceMappings: [Match.objectLike({ Ebs: Match.objectLike({ Encrypted: true }) })],
      }),
    });
  });

  test("get a scratch volume by a script that bash can read", () => {
    expect(execFileSync("bash", ["-n"], { input: PREPARE_SCRATCH }).length).toBe(0);
    const [{ LaunchTemplateData }] = of(onR2, "AWS::EC2::LaunchTemplate");
    const mime = LaunchTemplateData.UserData["Fn::Base64"];
    expect(mime).toMatch(/^Content-Type: multipart\/mixed; boundary=/);
    expect(mime).toContain(PREPARE_SCRATCH);
  });
});

describe("the job definitions", () => {
  const definitions = of(onR2, "AWS::Batch::JobDefinition");

  test("are one a kind, with its arguments, its GPU, its memory and its time", () => {
    expect(definitions.map(({ JobDefinitionName }) => JobDefinitionName)).toEqual(
      kinds.map((kind) => `${settings.prefix}-${kind}`),
    );
    for (const [i, kind] of kinds.entries()) {
      const { ContainerProperties, Timeout } = definitions[i];
      const { vcpus, memoryMiB, timeoutSeconds } = resources[kind];
      expect(ContainerProperties.Command).toEqual([kind, "Ref::spec"]);
      expect(ContainerProperties.ResourceRequirements).toEqual(
        expect.arrayContaining([
          { Type: "GPU", Value: "1" },
          { Type: "VCPU", Value: String(vcpus) },
          { Type: "MEMORY", Value: String(memoryMiB) },
        ]),
      );
      expect(Timeout.AttemptDurationSeconds).toBe(timeoutSeconds);
    }
  });

  test("go on after a Spot machine was taken back and end in any other case", () => {
    // 143 is how a job ends that was told to and has written its checkpoint (batch/lifecycle/run-process.ts).
    const rules = [
      { Action: "RETRY", OnStatusReason: "Host EC2*" },
      { Action: "RETRY", OnExitCode: "143" },
      { Action: "EXIT", OnReason: "*" },
    ];
    for (const { RetryStrategy } of definitions) expect(RetryStrategy).toEqual({ Attempts: 10, EvaluateOnExit: rules });
  });

  test("run as nobody, and write to the scratch volume alone", () => {
    for (const { ContainerProperties } of definitions) {
      expect(ContainerProperties).toMatchObject({
        User: "10001:10001",
        ReadonlyRootFilesystem: true,
        MountPoints: [{ ContainerPath: "/scratch", SourceVolume: "scratch" }],
        Volumes: [{ Name: "scratch", Host: { SourcePath: "/scratch" } }],
      });
      expect(ContainerProperties.Privileged ?? false).toBe(false);
    }
  });

  test("name the image of this version, whose tag can't be moved", () => {
    for (const { ContainerProperties } of definitions) {
      expect(JSON.stringify(ContainerProperties.Image)).toContain(`":${settings.version}"`);
    }
    onR2.hasResourceProperties("AWS::ECR::Repository", { ImageTagMutability: "IMMUTABLE" });
  });

  test("log to a group that forgets", () => {
    onR2.hasResourceProperties("AWS::Logs::LogGroup", { RetentionInDays: settings.logDays });
    for (const { ContainerProperties } of definitions)
      expect(ContainerProperties.LogConfiguration.LogDriver).toBe("awslogs");
  });
});

describe("the bucket", () => {
  const environmentOf = (template: Template) => {
    const [{ ContainerProperties }] = of(template, "AWS::Batch::JobDefinition");
    return Object.fromEntries(
      ContainerProperties.Environment.map(({ Name, Value }: Record<string, unknown>) => [Name, Value]),
    );
  };

  test("is R2, whose token no template has", () => {
    expect(environmentOf(onR2)).toMatchObject({
      SOFTPOST_BUCKET: settings.r2Bucket,
      SOFTPOST_S3_ENDPOINT: { Ref: "R2Endpoint" },
    });
    const [{ ContainerProperties }] = of(onR2, "AWS::Batch::JobDefinition");
    expect(ContainerProperties.Secrets.map(({ Name }: { Name: string }) => Name)).toEqual([
      "AWS_ACCESS_KEY_ID",
      "AWS_SECRET_ACCESS_KEY",
    ]);
    expect(of(onR2, "AWS::S3::Bucket")).toEqual([]);
    expect(statement(onR2, "s3:GetObject")).toEqual([]);
  });

  test("or S3, private, which each kind of job may change as far as it must", () => {
    expect(environmentOf(onS3)).toMatchObject({ AWS_REGION: settings.region });
    expect(environmentOf(onS3)).not.toHaveProperty("SOFTPOST_S3_ENDPOINT");
    onS3.hasResource("AWS::S3::Bucket", { DeletionPolicy: "Retain" });
    onS3.hasResourceProperties("AWS::S3::Bucket", {
      PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
    });
    const writers = statement(onS3, "s3:PutObject").map(({ Resource }) => JSON.stringify(Resource));
    expect(writers).toHaveLength(kinds.length + 1);
    expect(writers.filter((resource) => resource.includes("models/*"))).toHaveLength(1);
    expect(statement(onS3, "s3:*")).toEqual([]);
  });
});

describe("the Worker's user", () => {
  test("may submit transfers to the two queues, by bare name and by revision, and nothing else", () => {
    const [submit, ...more] = statement(onR2, "batch:SubmitJob");
    expect(more).toEqual([]);
    const text = JSON.stringify(submit.Resource);
    expect(submit.Resource).toHaveLength(4);
    expect(text).toContain(`:job-definition/${settings.prefix}-transfer"`);
    expect(text).toContain(`:job-definition/${settings.prefix}-transfer:*"`);
    expect(text).not.toMatch(/distill|predict/);
  });

  test("has a star only where Batch knows no other", () => {
    const everywhere = statementsOf(onR2).filter(({ Resource }) => Resource === "*");
    expect(everywhere.flatMap(({ Action }) => Action).toSorted()).toEqual([
      "batch:DescribeJobs",
      "batch:ListJobs",
      "ecr:GetAuthorizationToken",
    ]);
  });

  test("has a key that only a person makes", () => {
    expect(of(onR2, "AWS::IAM::AccessKey")).toEqual([]);
  });
});

describe("events", () => {
  test("about the queues' jobs go to the Worker with the secret", () => {
    onR2.hasResourceProperties("AWS::Events::ApiDestination", {
      HttpMethod: "POST",
      InvocationEndpoint: settings.publicUrl + BATCH_EVENTS.path,
    });
    const [connection] = of(onR2, "AWS::Events::Connection");
    const { ApiKeyName, ApiKeyValue } = connection.AuthParameters.ApiKeyAuthParameters;
    expect(ApiKeyName).toBe(BATCH_EVENTS.header);
    expect(JSON.stringify(ApiKeyValue)).toContain("resolve:secretsmanager");
    onR2.hasResourceProperties("AWS::Events::Rule", {
      EventPattern: Match.objectLike({ detail: Match.objectLike({ status: ["RUNNING", "SUCCEEDED", "FAILED"] }) }),
      Targets: [
        Match.objectLike({
          InputTransformer: Match.objectLike({ InputTemplate: '{"job":<detail-jobName>}' }),
          DeadLetterConfig: Match.anyValue(),
        }),
      ],
    });
  });
});

describe("alarms", () => {
  test("count against the month's budget", () => {
    onR2.hasResourceProperties("AWS::Budgets::Budget", {
      Budget: Match.objectLike({ BudgetLimit: { Amount: settings.monthlyBudget, Unit: "USD" } }),
      NotificationsWithSubscribers: Match.arrayWith([
        Match.objectLike({ Notification: Match.objectLike({ NotificationType: "FORECASTED", Threshold: 100 }) }),
      ]),
    });
  });

  test("may be raised by those who have to", () => {
    const [{ PolicyDocument }] = of(onR2, "AWS::SNS::TopicPolicy");
    const services = PolicyDocument.Statement.flatMap(({ Principal }: Properties) => Principal.Service ?? []);
    expect(services.toSorted()).toEqual(["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"]);
  });

  test("tell of a queue that stands still", () => {
    onR2.hasResourceProperties("AWS::Events::Rule", {
      EventPattern: Match.objectLike({ "detail-type": ["Batch Job Queue Blocked"] }),
    });
  });
});

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { App } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { describe, expect, test } from "vitest";
import { SET_UP } from "../../../infra/aws/machines.ts";
import { quotaFor } from "../../../infra/aws/queues.ts";
import { readSettings, type Settings, stages } from "../../../infra/aws/settings.ts";
import { SoftpostStack } from "../../../infra/aws/stack.ts";
import { kinds, resources } from "../../../infra/definitions.ts";
import { BATCH_EVENTS } from "../../../shared/protocol/batch-event.ts";
import { HEARTBEAT } from "../../../shared/protocol/heartbeat.ts";
import { diagnose, MAX_TEMPLATE_BYTES, minded, of, type Properties } from "./templates.ts";

const settings = readSettings("production");
const synthesise = (change: Partial<Settings> = {}) =>
  Template.fromStack(new SoftpostStack(new App(), { ...settings, ...change }));
const onR2 = synthesise();
const onS3 = synthesise({ r2Bucket: undefined });

const statementsOf = (template: Template): Properties[] =>
  of(template, "AWS::IAM::Policy").flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
const statement = (template: Template, action: string) =>
  statementsOf(template).filter(({ Action }) => [Action].flat().includes(action));

describe("every stage", () => {
  test.each(stages)("%s is what CloudFormation's schemas want, and small enough to be sent", (stage) => {
    const text = JSON.stringify(synthesise(readSettings(stage)).toJSON());
    const diagnostics = diagnose(text);
    expect(diagnostics.length).toBeGreaterThan(0);
    expect(minded(diagnostics)).toEqual([]);
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
        MaxvCpus: 4 * settings.maxGpus,
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
    expect(of(synthesise({ maxOnDemandGpus: 0 }), "AWS::Batch::JobQueue")).toHaveLength(1);
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
        MetadataOptions: { HttpTokens: "required", HttpPutResponseHopLimit: 1, HttpProtocolIpv6: "disabled" },
        BlockDeviceMappings: [Match.objectLike({ Ebs: Match.objectLike({ Encrypted: true }) })],
      }),
    });
  });

  test("stand in every zone that the settings name, with room for more", () => {
    const subnets = of(onR2, "AWS::EC2::Subnet");
    expect(subnets.map(({ AvailabilityZone }) => AvailabilityZone)).toEqual(settings.zoneNames);
    expect(settings.zoneNames.length).toBeGreaterThan(2);
    for (const { CidrBlock } of subnets) expect(CidrBlock).toMatch(/^10\.0\.\d+\.0\/20$/);
  });

  test("are replaced when what they are set up from changes, or by a word, with the newest image", () => {
    const environments = of(onR2, "AWS::Batch::ComputeEnvironment");
    expect(environments).toHaveLength(2);
    for (const { ComputeResources, ReplaceComputeEnvironment, UpdatePolicy } of environments) {
      const [{ Ref: template }, version] = [
        { Ref: ComputeResources.LaunchTemplate.LaunchTemplateId.Ref },
        ComputeResources.LaunchTemplate.Version,
      ];
      // The number, not $Latest: only a change of the template's text makes CloudFormation update the environment.
      expect(version).toEqual({ "Fn::GetAtt": [template, "LatestVersionNumber"] });
      expect(ComputeResources.UpdateToLatestImageVersion).toBe(true);
      expect(ReplaceComputeEnvironment).toBe(false);
      expect(UpdatePolicy).toEqual({ TerminateJobsOnUpdate: false, JobExecutionTimeoutMinutes: 60 });
    }
    const [{ LaunchTemplateData }] = of(onR2, "AWS::EC2::LaunchTemplate");
    const word = { Key: "images", Value: { Ref: "MachineImages" } };
    expect(LaunchTemplateData.TagSpecifications[0].Tags).toContainEqual(word);
  });

  test("may do no more than take part in their cluster", () => {
    const [role] = Object.entries(onR2.findResources("AWS::IAM::Role")).filter(([id]) => id.startsWith("MachineRole"));
    expect(role![1].Properties.ManagedPolicyArns).toBeUndefined();
    const roles = of(onR2, "AWS::IAM::InstanceProfile").map(({ Roles }) => Roles);
    expect(roles).toEqual([[{ Ref: role![0] }], [{ Ref: role![0] }]]);
    const own = of(onR2, "AWS::IAM::Policy").filter(({ Roles }) => Roles?.[0].Ref === role![0]);
    const actions = own.flatMap(({ PolicyDocument }) =>
      PolicyDocument.Statement.flatMap(({ Action }: Properties) => Action),
    );
    expect(actions.every((action: string) => action.startsWith("ecs:"))).toBe(true);
    expect(actions).not.toContain("ecs:CreateCluster");
  });

  test("are as many as the quota that the guide asks for has room for", () => {
    const guide = readFileSync(new URL("../../../docs/deploy.md", import.meta.url), "utf8");
    expect(guide).toContain(`--quota-code L-3819A6DF --desired-value ${quotaFor(settings.maxGpus)}`);
    expect(guide).toContain(`--quota-code L-DB2E81BA --desired-value ${quotaFor(settings.maxOnDemandGpus)}`);
    // The limit and one machine of the largest size beyond it, which Batch may start.
    expect(quotaFor(settings.maxGpus)).toBe(4 * settings.maxGpus + 16);
  });

  test("get a scratch volume by a script that bash can read", () => {
    expect(execFileSync("bash", ["-n"], { input: SET_UP }).length).toBe(0);
    const [{ LaunchTemplateData }] = of(onR2, "AWS::EC2::LaunchTemplate");
    const mime = LaunchTemplateData.UserData["Fn::Base64"];
    expect(mime).toMatch(/^Content-Type: multipart\/mixed; boundary=/);
    expect(mime).toContain(SET_UP);
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

  test("are tried again after all but what won't pass", () => {
    // 2 is how a job ends that can't be done (batch/lifecycle/run-process.ts). What no rule names, Batch tries again.
    const rules = [
      { Action: "EXIT", OnExitCode: "2" },
      { Action: "EXIT", OnReason: "OutOfMemoryError*" },
      { Action: "RETRY", OnStatusReason: "Host EC2*" },
      { Action: "RETRY", OnReason: "*" },
    ];
    expect(rules.length).toBeLessThanOrEqual(5);
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
    onS3.hasResource("AWS::S3::Bucket", { DeletionPolicy: "RetainExceptOnCreate" });
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
  test("may submit transfers and predictions to the two queues, by bare name and by revision, and nothing else", () => {
    const [submit, ...more] = statement(onR2, "batch:SubmitJob");
    expect(more).toEqual([]);
    const text = JSON.stringify(submit.Resource);
    expect(submit.Resource).toHaveLength(6);
    for (const kind of ["transfer", "predict"]) {
      expect(text).toContain(`:job-definition/${settings.prefix}-${kind}"`);
      expect(text).toContain(`:job-definition/${settings.prefix}-${kind}:*"`);
    }
    expect(text).not.toMatch(/distill/);
  });

  test("has a star only where Batch knows no other", () => {
    const everywhere = statementsOf(onR2).filter(({ Resource }) => Resource === "*");
    expect(everywhere.flatMap(({ Action }) => Action).toSorted()).toEqual([
      "batch:DescribeJobs",
      "batch:ListJobs",
      "cloudwatch:PutMetricData",
      "ecr:GetAuthorizationToken",
      "ecs:DiscoverPollEndpoint",
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

describe("what is left behind", () => {
  test("by a first deployment that failed is nothing that has a name", () => {
    for (const template of [onR2, onS3]) {
      const resources = Object.values(template.toJSON().Resources) as Properties[];
      const kept = resources.filter(({ DeletionPolicy }) => DeletionPolicy === "Retain");
      expect(kept).toEqual([]);
      for (const { Properties } of resources.filter(({ Type }) => Type === "AWS::SecretsManager::Secret")) {
        // A name would be taken for weeks after a deletion.
        expect(Properties.Name).toBeUndefined();
      }
    }
    onR2.hasResourceProperties("AWS::ECR::Repository", { EmptyOnDelete: true });
  });
});

describe("alarms", () => {
  const alarms = of(onR2, "AWS::CloudWatch::Alarm");
  const nameOf = ({ AlarmName }: Properties) => AlarmName.replace(`${settings.prefix} `, "");

  test("stand on everything that can stop unseen, send a mail, and have a part in the runbook", () => {
    expect(alarms.map(nameOf).toSorted()).toEqual([
      "EventsUndelivered",
      "EventsUnseen",
      "JobsCrashed",
      "JobsFailed",
      "JobsStuck",
      "NoHeartbeat",
      "NotReconciled",
    ]);
    const runbook = readFileSync(new URL("../../../docs/runbook.md", import.meta.url), "utf8");
    for (const alarm of alarms) {
      expect(alarm.AlarmActions).toHaveLength(1);
      expect(runbook).toContain(`\`${nameOf(alarm)}\``);
    }
  });

  test("silence of the Worker is one", () => {
    const [alarm] = alarms.filter((candidate) => nameOf(candidate) === "NoHeartbeat");
    expect(alarm).toMatchObject({
      Namespace: settings.prefix,
      MetricName: HEARTBEAT.alive,
      ComparisonOperator: "LessThanThreshold",
      Threshold: 1,
      TreatMissingData: "breaching",
    });
    for (const other of alarms.filter((candidate) => candidate !== alarm)) {
      expect(other.TreatMissingData).toBe("notBreaching");
    }
  });

  test("crashes are counted in the jobs' log, failures of jobs that never wrote one by Batch's events", () => {
    onR2.hasResourceProperties("AWS::Logs::MetricFilter", {
      FilterPattern: '{ $.event = "crashed" }',
      MetricTransformations: [Match.objectLike({ MetricNamespace: settings.prefix, MetricName: "crashes" })],
    });
    onR2.hasResourceProperties("AWS::Events::Rule", {
      EventPattern: Match.objectLike({ detail: Match.objectLike({ status: ["FAILED"] }) }),
      Targets: [Match.objectLike({ InputTransformer: Match.anyValue() })],
    });
  });

  test("count against the month's budget, of the stage by its tag and of the account", () => {
    const budgets = of(onR2, "AWS::Budgets::Budget");
    expect(budgets.map(({ Budget }) => Budget.CostFilters)).toEqual([
      { TagKeyValue: [`user:stage$${settings.stage}`] },
      undefined,
    ]);
    const environments = of(onR2, "AWS::Batch::ComputeEnvironment");
    for (const { ComputeResources } of environments) expect(ComputeResources.Tags.stage).toBe(settings.stage);
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

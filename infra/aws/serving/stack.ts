import { CfnOutput, Duration, LegacyStackSynthesizer, Stack, Tags } from "aws-cdk-lib";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import * as ec2 from "aws-cdk-lib/aws-ec2";
import * as ecs from "aws-cdk-lib/aws-ecs";
import type { Construct } from "constructs";
import { LEVELS_METRIC } from "../../../shared/protocol/serving-metric.ts";
import type { Settings } from "../settings.ts";
import { addServingInputs } from "./inputs.ts";
import { addServingMachines } from "./machines.ts";
import { addServingNetwork } from "./network.ts";
import { addServingTask } from "./task.ts";

/** Requests of a task, running and waiting, that one more task is started at. vLLM's batch holds more; waiting for a machine takes minutes. */
const REQUESTS_A_TASK = 48;

/** Inference on GPUs for one target: tasks of vLLM with the serving process before it. Nothing of it can be reached but through its tunnel. */
export class ServingStack extends Stack {
  constructor(scope: Construct, settings: Settings) {
    const { stage, region, prefix, maxServingGpus } = settings;
    super(scope, `softpost-serving-${stage}`, {
      description: `softpost: inference of the stage ${stage}`,
      env: { region },
      synthesizer: new LegacyStackSynthesizer(),
      suppressTemplateIndentation: true,
    });
    Tags.of(this).add("project", "softpost");
    Tags.of(this).add("stage", stage);

    const network = addServingNetwork(this, settings.zoneNames);
    const { cluster, provider } = addServingMachines(this, settings, network);
    const inputs = addServingInputs(this, settings);
    const { task, repository } = addServingTask(this, settings, inputs);
    const service = new ecs.Ec2Service(this, "Service", {
      serviceName: `${prefix}-serving`,
      cluster,
      taskDefinition: task,
      securityGroups: [network.tasks],
      vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
      capacityProviderStrategies: [{ capacityProvider: provider.capacityProviderName, weight: 1 }],
      // A machine has one GPU: the next version's task gets another machine before this one's goes.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { enable: true, rollback: true },
      desiredCount: 1,
    });
    const scaling = service.autoScaleTaskCount({ minCapacity: 1, maxCapacity: maxServingGpus });
    scaling.scaleToTrackCustomMetric("Queue", {
      metric: new cloudwatch.Metric({
        ...LEVELS_METRIC,
        dimensionsMap: { target: inputs.target },
        statistic: "Average",
        period: Duration.minutes(1),
      }),
      targetValue: REQUESTS_A_TASK,
      scaleOutCooldown: Duration.minutes(3),
      scaleInCooldown: Duration.minutes(15),
    });

    // What docs/deploy.md goes on with.
    new CfnOutput(this, "Repository", { value: repository.repositoryUri });
    new CfnOutput(this, "ServingSecretArn", { value: inputs.servingSecret.secretArn });
    new CfnOutput(this, "TunnelTokenArn", { value: inputs.tunnelToken.secretArn });
  }
}

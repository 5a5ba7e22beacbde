import { CfnOutput, LegacyStackSynthesizer, Stack, Tags } from "aws-cdk-lib";
import type { Construct } from "constructs";
import { addAlarms } from "./alarms.ts";
import { addBucket } from "./bucket.ts";
import { addEvents } from "./events.ts";
import { addJobs } from "./jobs.ts";
import { addMachines } from "./machines.ts";
import { addNetwork } from "./network.ts";
import { addQueues } from "./queues.ts";
import { addMachineRole } from "./roles.ts";
import type { Settings } from "./settings.ts";
import { addWorkerUser } from "./worker-user.ts";

/** Everything of a stage on AWS. It has no assets and looks nothing up, so the template alone is enough to deploy it. */
export class SoftpostStack extends Stack {
  constructor(scope: Construct, settings: Settings) {
    const { stage, region } = settings;
    super(scope, `softpost-${stage}`, {
      description: `softpost: GPU jobs of the stage ${stage}`,
      env: { region },
      synthesizer: new LegacyStackSynthesizer(),
      // So that it is small enough to be sent as it is.
      suppressTemplateIndentation: true,
    });
    Tags.of(this).add("project", "softpost");
    Tags.of(this).add("stage", stage);

    const machines = { launchTemplate: addMachines(this), instanceRole: addMachineRole(this) };
    const queues = addQueues(this, settings, { ...addNetwork(this, settings.zoneNames), ...machines });
    const door = addBucket(this, settings);
    const { repository, logGroup } = addJobs(this, settings, door);
    const user = addWorkerUser(this, settings, queues, door.own);
    const jobEvents = addEvents(this, settings, queues);
    addAlarms(this, settings, { queues, jobEvents, logGroup });

    // What docs/deploy.md goes on with.
    new CfnOutput(this, "Repository", { value: repository.repositoryUri });
    new CfnOutput(this, "WorkerUser", { value: user.userName });
    new CfnOutput(this, "EventsSecretArn", { value: jobEvents.secret.secretArn });
    new CfnOutput(this, "FailedJobsUrl", { value: jobEvents.failed.queueUrl });
    new CfnOutput(this, "UndeliveredUrl", { value: jobEvents.undelivered.queueUrl });
    if (door.own) new CfnOutput(this, "BucketName", { value: door.own.bucketName });
    if (door.token) new CfnOutput(this, "R2TokenArn", { value: door.token.secretArn });
  }
}

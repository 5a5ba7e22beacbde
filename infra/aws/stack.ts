import { CfnOutput, LegacyStackSynthesizer, Stack, Tags } from "aws-cdk-lib";
import type { Construct } from "constructs";
import { addAlarms } from "./alarms.ts";
import { addBucket, r2TokenName } from "./bucket.ts";
import { addEvents, eventsSecretName } from "./events.ts";
import { addJobs } from "./jobs.ts";
import { addMachines } from "./machines.ts";
import { addNetwork } from "./network.ts";
import { addQueues } from "./queues.ts";
import type { Settings } from "./settings.ts";
import { addWorkerUser } from "./worker-user.ts";

/** Everything of a stage on AWS. It has no assets and looks nothing up, so the template alone is enough to deploy it. */
export class SoftpostStack extends Stack {
  constructor(scope: Construct, settings: Settings) {
    const { stage, prefix, region } = settings;
    super(scope, `softpost-${stage}`, {
      description: `softpost: GPU jobs of the stage ${stage}`,
      env: { region },
      synthesizer: new LegacyStackSynthesizer(),
      // So that it is small enough to be sent as it is.
      suppressTemplateIndentation: true,
    });
    Tags.of(this).add("project", "softpost");
    Tags.of(this).add("stage", stage);

    const network = addNetwork(this);
    const queues = addQueues(this, settings, { ...network, launchTemplate: addMachines(this) });
    const door = addBucket(this, settings);
    const repository = addJobs(this, settings, door);
    const user = addWorkerUser(this, settings, queues, door.own);
    const undelivered = addEvents(this, settings, queues);
    addAlarms(this, settings, queues, undelivered);

    // What docs/deploy.md goes on with.
    new CfnOutput(this, "Repository", { value: repository.repositoryUri });
    new CfnOutput(this, "WorkerUser", { value: user.userName });
    new CfnOutput(this, "EventsSecretName", { value: eventsSecretName(prefix) });
    if (door.own) new CfnOutput(this, "BucketName", { value: door.own.bucketName });
    else new CfnOutput(this, "R2TokenName", { value: r2TokenName(prefix) });
  }
}

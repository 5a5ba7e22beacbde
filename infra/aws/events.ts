import { Duration, type Stack } from "aws-cdk-lib";
import type * as batch from "aws-cdk-lib/aws-batch";
import * as events from "aws-cdk-lib/aws-events";
import * as targets from "aws-cdk-lib/aws-events-targets";
import * as secrets from "aws-cdk-lib/aws-secretsmanager";
import * as sqs from "aws-cdk-lib/aws-sqs";
import type { z } from "zod";
import { BATCH_EVENTS, type batchEventSchema } from "../../shared/protocol/batch-event.ts";
import type { Settings } from "./settings.ts";

/** The Worker looks at every unfinished job once a minute anyway: later than this, an event is no news. */
const MAX_AGE = Duration.minutes(15);
/** A wave of Spot interruptions must not become a wave of requests. */
const PER_SECOND = 20;
/** Long enough for a look after a weekend. */
const KEPT = Duration.days(4);

export interface Events {
  readonly secret: secrets.Secret;
  /** What the Worker couldn't be told. */
  readonly undelivered: sqs.Queue;
  /** A message for every job that failed, with Batch's reason. */
  readonly failed: sqs.Queue;
}

/** Tells the Worker at once when a job starts or ends, and keeps what failed for a person to look at. */
export function addEvents(stack: Stack, { publicUrl }: Settings, queues: readonly batch.JobQueue[]): Events {
  const secret = new secrets.Secret(stack, "EventsSecret", {
    description: "The Worker's EVENTS_SECRET",
    generateSecretString: { passwordLength: 43, excludePunctuation: true },
  });
  const undelivered = keptMessages(stack, "Undelivered");
  const failed = keptMessages(stack, "Failed");
  const destination = new events.ApiDestination(stack, "Webhook", {
    connection: new events.Connection(stack, "Connection", {
      authorization: events.Authorization.apiKey(BATCH_EVENTS.header, secret.secretValue),
    }),
    endpoint: publicUrl + BATCH_EVENTS.path,
    httpMethod: events.HttpMethod.POST,
    rateLimitPerSecond: PER_SECOND,
  });
  const jobQueue = queues.map(({ jobQueueArn }) => jobQueueArn);
  const pattern = (status: readonly string[]) => ({
    source: ["aws.batch"],
    detailType: ["Batch Job State Change"],
    detail: { jobQueue, status: [...status] },
  });
  const event: z.output<typeof batchEventSchema> = { job: events.EventField.fromPath("$.detail.jobName") };
  new events.Rule(stack, "JobEvents", {
    eventPattern: pattern(["RUNNING", "SUCCEEDED", "FAILED"]),
    targets: [
      new targets.ApiDestination(destination, {
        event: events.RuleTargetInput.fromObject(event),
        deadLetterQueue: undelivered,
        maxEventAge: MAX_AGE,
      }),
    ],
  });
  const why = {
    job: events.EventField.fromPath("$.detail.jobName"),
    reason: events.EventField.fromPath("$.detail.statusReason"),
  };
  new events.Rule(stack, "JobFailed", {
    eventPattern: pattern(["FAILED"]),
    targets: [new targets.SqsQueue(failed, { message: events.RuleTargetInput.fromObject(why) })],
  });
  return { secret, undelivered, failed };
}

function keptMessages(stack: Stack, id: string): sqs.Queue {
  return new sqs.Queue(stack, id, {
    encryption: sqs.QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: KEPT,
  });
}

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

export const eventsSecretName = (prefix: string) => `${prefix}/events`;

/** Tells the Worker at once when a job starts or ends. @returns where what couldn't be told is kept */
export function addEvents(stack: Stack, { prefix, publicUrl }: Settings, queues: readonly batch.JobQueue[]): sqs.Queue {
  const secret = new secrets.Secret(stack, "EventsSecret", {
    secretName: eventsSecretName(prefix),
    description: "The Worker's EVENTS_SECRET",
    generateSecretString: { passwordLength: 43, excludePunctuation: true },
  });
  const undelivered = new sqs.Queue(stack, "Undelivered", {
    encryption: sqs.QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: Duration.days(4),
  });
  const destination = new events.ApiDestination(stack, "Webhook", {
    connection: new events.Connection(stack, "Connection", {
      authorization: events.Authorization.apiKey(BATCH_EVENTS.header, secret.secretValue),
    }),
    endpoint: publicUrl + BATCH_EVENTS.path,
    httpMethod: events.HttpMethod.POST,
    rateLimitPerSecond: PER_SECOND,
  });
  const event: z.output<typeof batchEventSchema> = { job: events.EventField.fromPath("$.detail.jobName") };
  new events.Rule(stack, "JobEvents", {
    eventPattern: {
      source: ["aws.batch"],
      detailType: ["Batch Job State Change"],
      detail: {
        jobQueue: queues.map(({ jobQueueArn }) => jobQueueArn),
        status: ["RUNNING", "SUCCEEDED", "FAILED"],
      },
    },
    targets: [
      new targets.ApiDestination(destination, {
        event: events.RuleTargetInput.fromObject(event),
        deadLetterQueue: undelivered,
        maxEventAge: MAX_AGE,
      }),
    ],
  });
  return undelivered;
}

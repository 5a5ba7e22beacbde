import { Aws, CfnParameter, Duration, type Stack } from "aws-cdk-lib";
import type * as batch from "aws-cdk-lib/aws-batch";
import * as budgets from "aws-cdk-lib/aws-budgets";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import * as events from "aws-cdk-lib/aws-events";
import * as targets from "aws-cdk-lib/aws-events-targets";
import * as iam from "aws-cdk-lib/aws-iam";
import * as sns from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import type * as sqs from "aws-cdk-lib/aws-sqs";
import type { Settings } from "./settings.ts";

/** Per cent of the month's budget at which a mail is sent; the last one while it is still a forecast. */
const THRESHOLDS = [
  { threshold: 50, notificationType: "ACTUAL" },
  { threshold: 80, notificationType: "ACTUAL" },
  { threshold: 100, notificationType: "ACTUAL" },
  { threshold: 100, notificationType: "FORECASTED" },
];

/** Mails about money, queues that stand still, and events that didn't reach the Worker. */
export function addAlarms(
  stack: Stack,
  { monthlyBudget }: Settings,
  queues: readonly batch.JobQueue[],
  undelivered: sqs.Queue,
): void {
  const email = new CfnParameter(stack, "AlarmEmail", {
    description: "Who is told; AWS sends a mail to be confirmed first",
    allowedPattern: "[^@\\s]+@[^@\\s]+",
  });
  const topic = new sns.Topic(stack, "Alarms", { enforceSSL: true });
  topic.addSubscription(new EmailSubscription(email.valueAsString));
  const conditions = { StringEquals: { "aws:SourceAccount": Aws.ACCOUNT_ID } };
  for (const service of ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]) {
    topic.grantPublish(new iam.ServicePrincipal(service, { conditions }));
  }

  new budgets.CfnBudget(stack, "Budget", {
    budget: {
      budgetType: "COST",
      timeUnit: "MONTHLY",
      budgetLimit: { amount: monthlyBudget, unit: "USD" },
    },
    notificationsWithSubscribers: THRESHOLDS.map((when) => ({
      notification: { ...when, comparisonOperator: "GREATER_THAN", thresholdType: "PERCENTAGE" },
      subscribers: [{ subscriptionType: "SNS", address: topic.topicArn }],
    })),
  });

  new events.Rule(stack, "QueueBlocked", {
    eventPattern: {
      source: ["aws.batch"],
      detailType: ["Batch Job Queue Blocked"],
      resources: queues.map(({ jobQueueArn }) => jobQueueArn),
    },
    targets: [new targets.SnsTopic(topic)],
  });

  undelivered
    .metricApproximateNumberOfMessagesVisible({ period: Duration.minutes(5) })
    .createAlarm(stack, "EventsUndelivered", {
      alarmDescription: "The Worker didn't take events of jobs: is it up, does it have the secret EVENTS_SECRET?",
      threshold: 1,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    })
    .addAlarmAction(new SnsAction(topic));
}

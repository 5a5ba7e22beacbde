import { Aws, CfnParameter, Duration, type Stack } from "aws-cdk-lib";
import type * as batch from "aws-cdk-lib/aws-batch";
import * as cloudwatch from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import * as events from "aws-cdk-lib/aws-events";
import * as targets from "aws-cdk-lib/aws-events-targets";
import * as iam from "aws-cdk-lib/aws-iam";
import * as logs from "aws-cdk-lib/aws-logs";
import * as sns from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import { HEARTBEAT } from "../../shared/protocol/heartbeat.ts";
import { addBudgets } from "./budgets.ts";
import type { Events } from "./events.ts";
import type { Settings } from "./settings.ts";

/** Failed jobs within a quarter of an hour that are no longer single mishaps of clients. */
const MANY_FAILED = 3;

interface Watched {
  readonly queues: readonly batch.JobQueue[];
  readonly jobEvents: Events;
  readonly logGroup: logs.ILogGroup;
}

/** Mails about money, and about all that stands still or goes wrong and that nobody would see. docs/runbook.md has a part for each. */
export function addAlarms(stack: Stack, settings: Settings, { queues, jobEvents, logGroup }: Watched): void {
  const topic = addTopic(stack);
  addBudgets(stack, settings, topic);
  const alarm = alarmsOf(stack, topic, settings.prefix);

  new events.Rule(stack, "QueueBlocked", {
    eventPattern: {
      source: ["aws.batch"],
      detailType: ["Batch Job Queue Blocked"],
      resources: queues.map(({ jobQueueArn }) => jobQueueArn),
    },
    targets: [new targets.SnsTopic(topic)],
  });

  const quarter = Duration.minutes(15);
  const { undelivered, failed } = jobEvents;
  alarm("JobsFailed", "Several jobs failed", failed.metricNumberOfMessagesSent({ period: quarter }), MANY_FAILED);
  new logs.MetricFilter(stack, "Crashes", {
    logGroup,
    filterPattern: logs.FilterPattern.stringValue("$.event", "=", "crashed"),
    metricNamespace: settings.prefix,
    metricName: "crashes",
  });
  alarm("JobsCrashed", "A job crashed, which is a fault of ours or of a machine", metric(settings, "crashes", quarter));
  alarm(
    "JobsStuck",
    "Transfers have waited for a machine for more than half an hour",
    metric(settings, HEARTBEAT.stuck, quarter, "Maximum"),
  );
  alarm(
    "NotReconciled",
    "The Worker failed to look after some tenant's transfers",
    metric(settings, HEARTBEAT.failed, quarter),
  );
  // A dead man's switch: silence is what it tells of.
  alarm(
    "NoHeartbeat",
    "The Worker's cron hasn't looked after the jobs for a quarter of an hour",
    metric(settings, HEARTBEAT.alive, quarter, "SampleCount"),
    1,
    cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
  );
  alarm(
    "EventsUndelivered",
    "The Worker didn't take events of jobs: is it up, does it have the secret EVENTS_SECRET?",
    undelivered.metricNumberOfMessagesSent({ period: quarter }),
  );
  alarm(
    "EventsUnseen",
    "Undelivered events have lain for a day, and nobody has looked at them",
    undelivered.metricApproximateAgeOfOldestMessage({ period: quarter }),
    Duration.days(1).toSeconds(),
  );
}

function addTopic(stack: Stack): sns.Topic {
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
  return topic;
}

function metric(
  { prefix }: Settings,
  metricName: string,
  period: Duration,
  statistic: "Sum" | "Maximum" | "SampleCount" = "Sum",
): cloudwatch.Metric {
  return new cloudwatch.Metric({ namespace: prefix, metricName, period, statistic });
}

/** Makes alarms that send a mail when they begin. A missing figure is a zero. */
function alarmsOf(stack: Stack, topic: sns.Topic, prefix: string) {
  const { GREATER_THAN_OR_EQUAL_TO_THRESHOLD, LESS_THAN_THRESHOLD } = cloudwatch.ComparisonOperator;
  const { NOT_BREACHING, BREACHING } = cloudwatch.TreatMissingData;
  return (
    id: string,
    alarmDescription: string,
    figure: cloudwatch.Metric,
    threshold = 1,
    comparisonOperator = GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
  ) =>
    figure
      .createAlarm(stack, id, {
        alarmName: `${prefix} ${id}`,
        alarmDescription: `${alarmDescription} (docs/runbook.md, "${id}")`,
        threshold,
        comparisonOperator,
        evaluationPeriods: 1,
        treatMissingData: comparisonOperator === LESS_THAN_THRESHOLD ? BREACHING : NOT_BREACHING,
      })
      .addAlarmAction(new SnsAction(topic));
}

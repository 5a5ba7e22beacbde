import type { Stack } from "aws-cdk-lib";
import * as budgets from "aws-cdk-lib/aws-budgets";
import type * as sns from "aws-cdk-lib/aws-sns";
import type { Settings } from "./settings.ts";

/** Per cent of the month's budget at which a mail is sent; the last one while it is still a forecast. */
const THRESHOLDS = [
  { threshold: 50, notificationType: "ACTUAL" },
  { threshold: 80, notificationType: "ACTUAL" },
  { threshold: 100, notificationType: "ACTUAL" },
  { threshold: 100, notificationType: "FORECASTED" },
];

/**
 * A month's budget for the stage, told from others by its tag, which has to be activated for costs once (docs/deploy.md). As long as it isn't, the stage's
 * budget counts nothing, so the same sum also watches the whole account.
 */
export function addBudgets(stack: Stack, { stage, monthlyBudget }: Settings, topic: sns.Topic): void {
  const budget = (id: string, filter: object) =>
    new budgets.CfnBudget(stack, id, {
      budget: {
        budgetType: "COST",
        timeUnit: "MONTHLY",
        budgetLimit: { amount: monthlyBudget, unit: "USD" },
        ...filter,
      },
      notificationsWithSubscribers: THRESHOLDS.map((when) => ({
        notification: { ...when, comparisonOperator: "GREATER_THAN", thresholdType: "PERCENTAGE" },
        subscribers: [{ subscriptionType: "SNS", address: topic.topicArn }],
      })),
    });
  budget("Budget", { costFilters: { TagKeyValue: [`user:stage$${stage}`] } });
  budget("AccountBudget", {});
}

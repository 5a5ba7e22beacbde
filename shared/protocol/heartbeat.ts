/** Figures that the Worker sends to CloudWatch once a minute, under the name of its queue; alarms stand on them (infra/aws/alarms.ts). */
export const HEARTBEAT = {
  /** That the cron ran to its end. */
  alive: "reconciled",
  /** Tenants whose transfers could not be looked after. */
  failed: "notReconciled",
  /** Transfers that have waited too long for a machine. */
  stuck: "stuck",
} as const;

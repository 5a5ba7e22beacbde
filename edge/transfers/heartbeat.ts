import { AwsClient } from "aws4fetch";
import { HEARTBEAT } from "../../shared/protocol/heartbeat.ts";
import type { Env } from "../env.ts";

const REQUEST_MS = 5000;
/** Of CloudWatch's query API. */
const VERSION = "2010-08-01";

export interface Figures {
  /** Tenants whose transfers could not be looked after. */
  readonly failed: number;
  /** Transfers that have waited too long for a machine. */
  readonly stuck: number;
}

/**
 * Tells CloudWatch that the cron has run, and how it went. Alarms there stand on its silence (infra/aws/alarms.ts). Does nothing where Batch isn't
 * AWS's own.
 *
 * @throws Error if CloudWatch doesn't take it
 */
export async function sendHeartbeat(env: Env, { failed, stuck }: Figures): Promise<void> {
  const endpoint =
    env.METRICS_ENDPOINT ?? (env.BATCH_ENDPOINT ? undefined : `https://monitoring.${env.AWS_REGION}.amazonaws.com`);
  if (endpoint === undefined) return;
  const figures = { [HEARTBEAT.alive]: 1, [HEARTBEAT.failed]: failed, [HEARTBEAT.stuck]: stuck };
  const body = new URLSearchParams({ Action: "PutMetricData", Version: VERSION, Namespace: env.BATCH_QUEUE });
  for (const [i, [name, value]] of Object.entries(figures).entries()) {
    body.set(`MetricData.member.${i + 1}.MetricName`, name);
    body.set(`MetricData.member.${i + 1}.Value`, String(value));
  }
  const client = new AwsClient({
    accessKeyId: env.AWS_ACCESS_KEY_ID,
    secretAccessKey: env.AWS_SECRET_ACCESS_KEY,
    region: env.AWS_REGION,
    service: "monitoring",
    retries: 2,
  });
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const signal = AbortSignal.timeout(REQUEST_MS);
  const response = await client.fetch(`${endpoint}/`, { method: "POST", headers, body: body.toString(), signal });
  if (!response.ok) throw new Error(`CloudWatch answered ${response.status}`);
}

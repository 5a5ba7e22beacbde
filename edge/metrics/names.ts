/** What `/metrics` has, by name (Prometheus' conventions); the dashboard uses exactly these (infra/grafana/). */
export const METRICS = {
  softpost_requests_total: { type: "counter", help: "Requests, by method, route and status." },
  softpost_request_seconds: { type: "histogram", help: "Seconds until an answer began, by route." },
  softpost_refusals_total: {
    type: "counter",
    help: "Requests that were refused, by reason: a budget, or a problem's type.",
  },
  softpost_transfers: {
    type: "gauge",
    help: "Transfers that are not finished, by state, as of the last scheduled run.",
  },
  softpost_queue_age_seconds: {
    type: "gauge",
    help: "How long the transfer has waited that waits for longest; 0 if none does.",
  },
  softpost_transfers_ended_total: { type: "counter", help: "Transfers that ended, by state." },
  softpost_device_seconds_total: { type: "counter", help: "Device seconds that were paid for." },
  softpost_webhook_deliveries_total: { type: "counter", help: "Tries to deliver to tenants' webhooks, by outcome." },
  softpost_scheduled_run_age_seconds: {
    type: "gauge",
    help: "Seconds since the scheduled run last ended; -1 if it never did.",
  },
} as const;

export type MetricName = keyof typeof METRICS;

/** Upper ends of a histogram's buckets, in seconds. */
export const BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

/** A series as Prometheus writes it: `name{label="value"}`. */
export function series(name: string, labels: Readonly<Record<string, string | number>> = {}): string {
  const escaped = (value: string | number) => String(value).replaceAll(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

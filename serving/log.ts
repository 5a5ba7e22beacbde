import { LEVELS_METRIC } from "../shared/protocol/serving-metric.ts";

/** What may stand in a log line: never a text, an answer, a key or who sent it. */
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Writes an event to standard error: one JSON object a line. */
export function log(event: string, fields: Fields = {}): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);
}

/** Writes how many requests there are in CloudWatch's embedded metric format: a log line from which CloudWatch makes a metric of the target. */
export function logLevel(target: string, requests: number): void {
  const { namespace, metricName } = LEVELS_METRIC;
  const Metrics = [{ Name: metricName, Unit: "Count" }];
  const CloudWatchMetrics = [{ Namespace: namespace, Dimensions: [["target"]], Metrics }];
  const line = { _aws: { Timestamp: Date.now(), CloudWatchMetrics }, target, [metricName]: requests };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

/** What is wrong with an error of our own: its kind and where it happened. Its message may have words of a text, so it isn't told. */
export function whereOf(error: unknown): string {
  const { name = "Error", stack = "" } = error instanceof Error ? error : {};
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line));
  return [name, ...frames.slice(0, 8).map((line) => line.trim())].join("\n");
}

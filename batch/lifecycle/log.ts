/** What may stand in a log line: never a text of anybody's data, a prompt's value or a figure of one example. */
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Writes an event. */
export type Log = (event: string, fields?: Fields) => void;

/** Metrics by name, with CloudWatch's unit of each. */
const UNITS = {
  deviceSeconds: "Seconds",
  transfersInShift: "Count",
  done: "Count",
  failed: "Count",
  interrupted: "Count",
  crashed: "Count",
} as const;

export type Metrics = Partial<Record<keyof typeof UNITS, number>>;

const NAMESPACE = "softpost";

/** One JSON object a line, with the same fields in front: a job's log is its standard error, which Batch sends to CloudWatch. */
export function jobLog(base: Fields, write: (line: string) => void = toStderr): Log {
  return (event, fields = {}) => write(JSON.stringify({ time: new Date().toISOString(), event, ...base, ...fields }));
}

/**
 * Metrics in CloudWatch's embedded metric format: a log line from which CloudWatch makes them, by `kind` and, for finding the
 * job, with its fields as properties. It needs no permission and no call.
 */
export function writeMetrics(kind: string, metrics: Metrics, fields: Fields, write = toStderr): void {
  const Metrics = Object.keys(metrics).map((Name) => ({ Name, Unit: UNITS[Name as keyof typeof UNITS] }));
  const CloudWatchMetrics = [{ Namespace: NAMESPACE, Dimensions: [["kind"]], Metrics }];
  write(JSON.stringify({ _aws: { Timestamp: Date.now(), CloudWatchMetrics }, kind, ...fields, ...metrics }));
}

function toStderr(line: string): void {
  try {
    process.stderr.write(`${line}\n`);
  } catch {
    // It is a file on a full disk: the line is lost, the work goes on.
  }
}

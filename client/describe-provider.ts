import { join } from "node:path";
import { z } from "zod";
import { parsedOrUndefined } from "../shared/protocol/json.ts";
import { duration, money } from "./words.ts";

interface Published {
  readonly dir: string;
  readonly target?: string;
  readonly student?: string;
  readonly openStudent?: string;
  readonly public: readonly string[];
}

/** What a provider that has started says of itself beside its address and keys: what it published, where things are, what to do next. */
export function describeStart({ dir, target, student, openStudent, public: files }: Published): string[] {
  const students = [student, openStudent].filter((folder) => folder !== undefined);
  const things = [
    ...students.map((folder) => `the student ${folder} of ${target}`),
    ...files.map((file) => `the public set ${file}`),
  ];
  const published =
    things.length > 0
      ? `Published: ${things.join(", ")}`
      : "Published nothing new. Where nothing was published before, clients find nothing: give --target, --student and --public, once";
  return [
    published,
    "The API key is a client's. The admin secret makes and limits tenants (/v1/admin/…); keep it to yourself.",
    `Logs: ${join(dir, "worker.log")} (requests and what became of transfers), ${join(dir, "batch", "logs")} (jobs)`,
    "Ctrl-C stops it; all that it has stays in its folder, and jobs go on when it starts again.",
    "Next, in another terminal with that SOFTPOST_CONFIG: softpost students",
  ];
}

/** The Worker's log lines that are shown as they happen. */
const eventSchema = z.object({
  event: z.enum(["submitted", "settled", "failed", "cancelled", "stuck"]),
  tenant: z.string(),
  transfer: z.string(),
  deviceSeconds: z.number().optional(),
  micros: z.number().optional(),
  reason: z.string().nullish(),
  log: z.string().nullish(),
  minutes: z.number().optional(),
});

const WHAT = {
  submitted: "submitted",
  settled: "succeeded",
  failed: "failed",
  cancelled: "cancelled",
  stuck: "is still waiting for a job",
} as const;

/**
 * A line about a transfer of a line of the Worker's log; undefined for all that needs nobody's attention.
 * @param dir the provider's folder
 */
export function describeEvent(
  line: string,
  { dir, currency, now }: { dir: string; currency: string; now: Date },
): string | undefined {
  const parsed = eventSchema.safeParse(parsedOrUndefined(line));
  if (!parsed.success) return undefined;
  const { event, tenant, transfer, deviceSeconds, micros, reason, log } = parsed.data;
  const took = deviceSeconds === undefined ? "" : ` in ${duration(deviceSeconds)}`;
  const paid = micros === undefined ? "" : `, ${money(micros, currency)}`;
  const why = reason ? `: ${reason}` : "";
  const where = log ? ` (log: ${join(dir, "batch", "logs", log)})` : "";
  return `${now.toTimeString().slice(0, 8)}  transfer ${transfer} of tenant ${tenant} ${WHAT[event]}${took}${paid}${why}${where}`;
}

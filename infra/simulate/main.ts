/** `npm run simulate`: what a transfer costs and how long it waits, as a Markdown table. */
import {
  DEMAND,
  HARDWARE,
  HEADROOM,
  READ_PRICE,
  READS_PER_TRANSFER,
  SEED,
  TENANTS,
  TRANSFERS,
  WRITE_PRICE,
  WRITES_PER_TRANSFER,
} from "./parameters.ts";
import { type Outcome, type Policy, simulate } from "./simulation.ts";
import { loadOf, type Work, workloadOf } from "./workload.ts";

const POLICIES: readonly (Policy & { readonly name: string })[] = [
  { name: "neither", coalesce: false, cache: false },
  { name: "caching", coalesce: false, cache: true },
  { name: "coalescing", coalesce: true, cache: false },
  { name: "both", coalesce: true, cache: true },
];

const HEAD = ["tenants", "machines", "with", "USD a transfer", "saved", "waits, median", "waits, 95 %", "job starts"];

/** The table of costs and waiting times by number of tenants, limit of machines and policy. */
export function table(): string {
  const rows = TENANTS.flatMap((tenants) => {
    const work = workloadOf(DEMAND, tenants, TRANSFERS, SEED);
    const few = Math.max(1, Math.ceil(HEADROOM * loadOf(DEMAND, tenants)));
    const runs = [HARDWARE.maxMachines, few].flatMap((maxMachines) =>
      POLICIES.map((policy) => {
        const outcome = simulate(work, { ...HARDWARE, maxMachines }, policy, SEED);
        return { first: [tenants.toLocaleString("en"), `≤ ${maxMachines}`, policy.name], outcome };
      }),
    );
    const base = costOf(runs[0]!.outcome, work);
    return runs.map(({ first, outcome }) => line([...first, ...figures(outcome, work, base)]));
  });
  return [line(HEAD), line(HEAD.map(() => "---")), ...rows].join("\n");
}

function figures(outcome: Outcome, work: readonly Work[], base: number): string[] {
  const cost = costOf(outcome, work);
  const waits = outcome.waits.toSorted((a, b) => a - b);
  const minutes = (part: number) => `${(waits[Math.floor(part * waits.length)]! / 60).toFixed(1)} min`;
  const saved = `${Math.round(100 * (1 - cost / base))} %`;
  return [cost.toFixed(3), saved, minutes(0.5), minutes(0.95), (outcome.starts / work.length).toFixed(2)];
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** USD a transfer: machines and requests to the bucket. */
function costOf({ machineSeconds }: Outcome, work: readonly Work[]): number {
  const checkpoints = work.reduce((sum, { seconds }) => sum + seconds / HARDWARE.checkpointSeconds, 0);
  const requests = WRITES_PER_TRANSFER * WRITE_PRICE + READS_PER_TRANSFER * READ_PRICE;
  return ((machineSeconds / 3600) * HARDWARE.pricePerHour + checkpoints * WRITE_PRICE) / work.length + requests;
}

if (import.meta.main) process.stdout.write(`${table()}\n`);

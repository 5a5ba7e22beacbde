/** `npm run simulate`: what a transfer costs and how long it waits, as a Markdown table. */
import {
  demandOn,
  GPUS,
  type Gpu,
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

/** What one GPU makes of a number of tenants, under each limit of machines and policy, in the order of the table's rows. */
function outcomesOn(gpu: Gpu, tenants: number) {
  const demand = demandOn(gpu);
  const work = workloadOf(demand, tenants, TRANSFERS, SEED);
  const few = Math.max(1, Math.ceil(HEADROOM * loadOf(demand, tenants)));
  return [HARDWARE.maxMachines, few].flatMap((maxMachines) =>
    POLICIES.map((policy) => {
      const outcome = simulate(work, { ...HARDWARE, maxMachines }, policy, SEED);
      return { maxMachines, policy: policy.name, cost: costOf(outcome, work), ...figures(outcome, work) };
    }),
  );
}

/** The table of costs and waiting times by number of tenants, limit of machines and policy; a range is from one GPU to the other. */
export function table(): string {
  const rows = TENANTS.flatMap((tenants) => {
    const all = GPUS.map((gpu) => outcomesOn(gpu, tenants));
    return all[0]!.map(({ policy }, i) => {
      const of = all.map((outcomes) => ({ ...outcomes[i]!, saved: 1 - outcomes[i]!.cost / outcomes[0]!.cost }));
      return line([
        tenants.toLocaleString("en"),
        `≤ ${range(of.map(({ maxMachines }) => String(maxMachines)))}`,
        policy,
        range(of.map(({ cost }) => cost.toFixed(3))),
        `${range(of.map(({ saved }) => String(Math.round(100 * saved))))} %`,
        `${range(of.map(({ median }) => median.toFixed(1)))} min`,
        `${range(of.map(({ late }) => late.toFixed(1)))} min`,
        range(of.map(({ starts }) => starts.toFixed(2))),
      ]);
    });
  });
  return [line(HEAD), line(HEAD.map(() => "---")), ...rows].join("\n");
}

const range = (values: readonly string[]) => [...new Set(values)].join(" to ");

/** Minutes of waiting, and starts of jobs a transfer. */
function figures(outcome: Outcome, work: readonly Work[]) {
  const waits = outcome.waits.toSorted((a, b) => a - b);
  const minutes = (part: number) => waits[Math.floor(part * waits.length)]! / 60;
  return { median: minutes(0.5), late: minutes(0.95), starts: outcome.starts / work.length };
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

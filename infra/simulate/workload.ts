import { Draws, seededRandom } from "../../shared/protocol/random.ts";
import type { Demand } from "./parameters.ts";

const MONTH_SECONDS = 30 * 86_400;

/** A transfer that comes to the provider. */
export interface Work {
  /** Seconds since the beginning. */
  readonly arrival: number;
  readonly tenant: number;
  readonly target: number;
  /** Seconds that its steps take on the device. */
  readonly seconds: number;
  /** Seconds for the unprompted vectors, unless those of this key are kept. */
  readonly vectorSeconds: number;
  readonly vectors: string;
  /** Whether those are there from before the simulation begins. */
  readonly known: boolean;
}

/**
 * Groups of transfers that come as a Poisson process.
 *
 * A tenant has one task and one target; its task's template is its own, so its vectors are computed once for all its transfers.
 *
 * @returns `count` transfers in the order of their arrival, the same for a seed
 */
export function workloadOf(demand: Demand, tenants: number, count: number, seed: number): Work[] {
  const draws = new Draws(seededRandom(seed, tenants));
  const groupSize = (1 + demand.largestGroup) / 2;
  const groupsPerSecond = (tenants * demand.transfersPerTenantMonth) / groupSize / MONTH_SECONDS;
  const work: Work[] = [];
  let arrival = 0;
  while (work.length < count) {
    arrival += exponential(draws, groupsPerSecond);
    const tenant = draws.integer(tenants);
    const target = tenant % demand.targets;
    const size = 1 + draws.integer(demand.largestGroup);
    for (let i = 0; i < size && work.length < count; i++) {
      const seconds = demand.steps[draws.integer(demand.steps.length)]! * demand.secondsPerStep;
      const known = tenant >= tenants * demand.newTenants;
      work.push({ arrival, tenant, target, seconds, vectorSeconds: demand.vectorSeconds, vectors: `${tenant}`, known });
    }
  }
  return work;
}

/** Machines that are busy on average with steps and vectors. */
export function loadOf({ steps, secondsPerStep, vectorSeconds, ...demand }: Demand, tenants: number): number {
  const mean = (steps.reduce((sum, each) => sum + each, 0) / steps.length) * secondsPerStep + vectorSeconds;
  return (tenants * demand.transfersPerTenantMonth * mean) / MONTH_SECONDS;
}

/** An exponentially distributed time with this rate; never, if the rate is 0. */
export function exponential(draws: Draws, rate: number): number {
  return rate === 0 ? Number.POSITIVE_INFINITY : -Math.log1p(-draws.uniform53()) / rate;
}

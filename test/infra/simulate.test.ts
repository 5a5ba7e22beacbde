import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Agenda } from "../../infra/simulate/agenda.ts";
import { table } from "../../infra/simulate/main.ts";
import { DEMAND, HARDWARE, type Hardware } from "../../infra/simulate/parameters.ts";
import { type Policy, simulate } from "../../infra/simulate/simulation.ts";
import { exponential, type Work, workloadOf } from "../../infra/simulate/workload.ts";
import { Draws, seededRandom } from "../../shared/protocol/random.ts";

const BOTH: Policy = { coalesce: true, cache: true };
const NEITHER: Policy = { coalesce: false, cache: false };

const hardware = fc.record({
  interruptionsPerHour: fc.constantFrom(0, 0.5, 20),
  maxMachines: fc.integer({ min: 1, max: 6 }),
  idleSeconds: fc.constantFrom(0, 60, 600),
  checkpointSeconds: fc.constantFrom(0, 2, 100),
});
const policy = fc.record({ coalesce: fc.boolean(), cache: fc.boolean() });
const hardwareOf = (some: Partial<Hardware>): Hardware => ({ ...HARDWARE, ...some });
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

describe("whatever happens", () => {
  test("every transfer is finished exactly once, and no reclaim costs more than a checkpoint interval", () => {
    fc.assert(
      fc.property(hardware, policy, fc.integer(), fc.constantFrom(1, 3, 1e5), (some, how, seed, tenants) => {
        const work = workloadOf(DEMAND, tenants, 30, seed);
        const outcome = simulate(work, hardwareOf(some), how, seed);
        expect(outcome.finished).toEqual(work.map(() => 1));
        expect(outcome.waits.every((wait) => wait > 0)).toBe(true);
        expect(outcome.lostSeconds).toBeLessThanOrEqual(outcome.interruptions * some.checkpointSeconds);
        expect(outcome.starts).toBeLessThanOrEqual(work.length + outcome.interruptions);
        // What is paid for is at least the work itself.
        expect(outcome.machineSeconds).toBeGreaterThanOrEqual(sum(work.map(({ seconds }) => seconds)) * (1 - 1e-12));
      }),
    );
  });

  test("without reclaims no work is lost", () => {
    const work = workloadOf(DEMAND, 1000, 500, 3);
    const { interruptions, lostSeconds } = simulate(work, hardwareOf({ interruptionsPerHour: 0 }), BOTH, 3);
    expect([interruptions, lostSeconds]).toEqual([0, 0]);
  });

  test("the same seed gives the same", () => {
    const run = (seed: number) => simulate(workloadOf(DEMAND, 1000, 300, seed), HARDWARE, BOTH, seed);
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });
});

test("of transfers that are all there at once, coalescing and caching never make any dearer", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 6 }), fc.boolean(), (seed, maxMachines, other) => {
      const work = workloadOf(DEMAND, 20, 40, seed).map((each) => ({ ...each, arrival: 0 }));
      const calm = hardwareOf({ interruptionsPerHour: 0, maxMachines });
      const cost = (how: Policy) => simulate(work, calm, how, seed).machineSeconds;
      const slack = 1e-6;
      expect(cost({ coalesce: true, cache: other })).toBeLessThanOrEqual(
        cost({ coalesce: false, cache: other }) + slack,
      );
      expect(cost({ coalesce: false, cache: true })).toBeLessThanOrEqual(cost(NEITHER) + slack);
    }),
  );
});

test("with a limit of machines, coalescing serves a tenant with one transfer after one of each other tenant", () => {
  const work = [0, 0, 0, 0, 1].map((tenant, i): Work => {
    const seconds = 100;
    return { arrival: i === 0 ? 0 : 1, tenant, target: 0, seconds, vectorSeconds: 0, vectors: "", known: true };
  });
  const one = hardwareOf({ maxMachines: 1, interruptionsPerHour: 0 });
  const place = (how: Policy) => {
    const { waits } = simulate(work, one, how, 1);
    return waits.filter((wait) => wait < waits[4]!).length;
  };
  expect(place(BOTH)).toBe(1);
  expect(place(NEITHER)).toBe(4);
});

test("one machine that is always there and exponential times is the queue M/M/1", () => {
  const [arrivals, services] = [1 / 100, 1 / 60];
  const draws = new Draws(seededRandom(11));
  let arrival = 0;
  const work = Array.from({ length: 200_000 }, (): Work => {
    arrival += exponential(draws, arrivals);
    const seconds = exponential(draws, services);
    return { arrival, tenant: 0, target: 0, seconds, vectorSeconds: 0, vectors: "", known: true };
  });
  const machine = hardwareOf({
    maxMachines: 1,
    interruptionsPerHour: 0,
    machineStartSeconds: 0,
    paidStartSeconds: 0,
    jobStartSeconds: 0,
    loadSeconds: 0,
    downloadSeconds: 0,
    idleSeconds: Number.POSITIVE_INFINITY,
  });
  const { waits } = simulate(work, machine, NEITHER, 1);
  // Mean time in the queue: ρ / (μ − λ) (Kleinrock, Queueing Systems 1, section 3.2).
  const wanted = arrivals / services / (services - arrivals);
  expect(sum(waits) / waits.length / wanted).toBeCloseTo(1, 1);
  // Part of those that don't wait: 1 − ρ.
  expect(waits.filter((wait) => wait < 1e-9).length / waits.length).toBeCloseTo(1 - arrivals / services, 2);
});

test("an agenda is worked off in order of time, then of entry", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), (times) => {
      const agenda = new Agenda();
      const done: [number, number][] = [];
      times.forEach((at, i) => {
        agenda.enter(at, () => done.push([agenda.now, i]));
      });
      agenda.run(() => false);
      const wanted = times.map((at, i): [number, number] => [at, i]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      expect(done).toEqual(wanted);
    }),
  );
});

test("docs/costs.md has the table that the simulation gives", () => {
  expect(readFileSync(new URL("../../docs/costs.md", import.meta.url), "utf8")).toContain(`\n${table()}\n`);
});

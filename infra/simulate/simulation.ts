import { Draws, seededRandom } from "../../shared/protocol/random.ts";
import { Agenda } from "./agenda.ts";
import type { Hardware } from "./parameters.ts";
import { exponential, type Work } from "./workload.ts";

export interface Policy {
  /** A job goes on with others that wait for its target (batch/README.md). */
  readonly coalesce: boolean;
  /** Unprompted vectors are kept in the bucket. */
  readonly cache: boolean;
}

export interface Outcome {
  /** How often each transfer was finished. */
  readonly finished: readonly number[];
  /** Seconds from each transfer's arrival until its first step. */
  readonly waits: readonly number[];
  /** Seconds of machines that are paid for. */
  readonly machineSeconds: number;
  readonly interruptions: number;
  /** Seconds of steps that were done twice. */
  readonly lostSeconds: number;
  /** Starts of containers. */
  readonly starts: number;
}

interface Transfer extends Work {
  readonly index: number;
  /** Seconds of steps that are left. */
  left: number;
  begun: boolean;
}

interface Machine {
  readonly paidFrom: number;
  /** Targets on its disk. */
  readonly disk: Set<number>;
  /** When its container started, and what for. */
  container: { readonly since: number; readonly target: number; readonly turns: Map<number, number> } | undefined;
  working: { readonly transfer: Transfer; readonly stepsFrom: number } | undefined;
  /** Changes whenever what was to happen to it no longer is. */
  version: number;
}

/** The queue, the machines and what happens to them. Interruptions depend on the seed only, and on the order of machines. */
export function simulate(work: readonly Work[], hardware: Hardware, policy: Policy, seed: number): Outcome {
  return new Simulation(work, hardware, policy, seed).run();
}

class Simulation {
  private readonly hardware: Hardware;
  private readonly policy: Policy;
  private readonly draws: Draws;
  private readonly agenda = new Agenda();
  private readonly transfers: Transfer[];
  /** Batch's queue, oldest first. */
  private readonly queue: Transfer[] = [];
  private readonly idle = new Set<Machine>();
  private readonly vectors = new Set<string>();
  private machines = 0;
  private starting = 0;
  private finishedCount = 0;
  private readonly finished: number[];
  private readonly waits: number[];
  private machineSeconds = 0;
  private interruptions = 0;
  private lostSeconds = 0;
  private starts = 0;

  constructor(work: readonly Work[], hardware: Hardware, policy: Policy, seed: number) {
    this.hardware = hardware;
    this.policy = policy;
    this.draws = new Draws(seededRandom(seed));
    this.transfers = work.map((each, index) => ({ ...each, index, left: each.seconds, begun: false }));
    this.finished = work.map(() => 0);
    this.waits = work.map(() => Number.NaN);
  }

  run(): Outcome {
    for (const transfer of this.transfers) {
      this.agenda.enter(transfer.arrival, () => {
        this.queue.push(transfer);
        this.serve();
      });
    }
    // Machines that are still up at the end are kept for their idle time.
    this.agenda.run(() => this.finishedCount === this.transfers.length && this.machines === 0);
    const { finished, waits, machineSeconds, interruptions, lostSeconds, starts } = this;
    return { finished, waits, machineSeconds, interruptions, lostSeconds, starts };
  }

  /** Gives waiting transfers to idle machines, and asks for machines for the others. */
  private serve(): void {
    for (const machine of this.idle) {
      if (this.queue.length === 0) break;
      this.startJob(machine);
    }
    while (this.starting < this.queue.length && this.machines < this.hardware.maxMachines) this.order();
  }

  private order(): void {
    const { machineStartSeconds, paidStartSeconds, interruptionsPerHour } = this.hardware;
    this.machines += 1;
    this.starting += 1;
    const ready = this.agenda.now + machineStartSeconds;
    const machine: Machine = {
      paidFrom: ready - paidStartSeconds,
      disk: new Set(),
      container: undefined,
      working: undefined,
      version: 0,
    };
    const dies = ready + exponential(this.draws, interruptionsPerHour / 3600);
    this.agenda.enter(ready, () => {
      this.starting -= 1;
      this.next(machine);
      this.agenda.enter(dies, () => this.interrupt(machine));
    });
  }

  /** A machine without a job: takes the next one of the queue, or is kept for a while. */
  private next(machine: Machine): void {
    machine.container = undefined;
    this.idle.add(machine);
    if (this.queue.length > 0) this.startJob(machine);
    else this.later(machine, this.hardware.idleSeconds, () => this.remove(machine));
  }

  private startJob(machine: Machine): void {
    this.idle.delete(machine);
    const transfer = this.queue.shift()!;
    const { target } = transfer;
    const { jobStartSeconds, downloadSeconds, loadSeconds } = this.hardware;
    const overhead = jobStartSeconds + loadSeconds + (machine.disk.has(target) ? 0 : downloadSeconds);
    machine.disk.add(target);
    machine.container = { since: this.agenda.now, target, turns: new Map() };
    this.starts += 1;
    this.work(machine, transfer, overhead);
  }

  private work(machine: Machine, transfer: Transfer, overhead: number): void {
    const kept = this.policy.cache && (transfer.known || this.vectors.has(transfer.vectors));
    const stepsFrom = this.agenda.now + overhead + (kept ? 0 : transfer.vectorSeconds);
    machine.working = { transfer, stepsFrom };
    const { turns } = machine.container!;
    turns.set(transfer.tenant, Math.max(0, ...turns.values()) + 1);
    // It may be interrupted before: then it has waited until its last try.
    this.waits[transfer.index] = transfer.begun ? this.waits[transfer.index]! : stepsFrom - transfer.arrival;
    this.later(machine, stepsFrom + transfer.left - this.agenda.now, () => this.finish(machine, transfer));
  }

  private finish(machine: Machine, transfer: Transfer): void {
    machine.working = undefined;
    this.vectors.add(transfer.vectors);
    this.finished[transfer.index]! += 1;
    this.finishedCount += 1;
    const next = this.policy.coalesce ? this.takeWaiting(machine.container!) : undefined;
    if (next) this.work(machine, next, 0);
    else this.next(machine);
  }

  /** Of the transfers that wait for the target and that nobody ever had: the oldest of the tenant whose turn it is. */
  private takeWaiting({ since, target, turns }: NonNullable<Machine["container"]>): Transfer | undefined {
    if (this.agenda.now - since > this.hardware.shiftSeconds) return undefined;
    let best: Transfer | undefined;
    for (const transfer of this.queue) {
      if (transfer.target !== target || transfer.begun) continue;
      if (!best || (turns.get(transfer.tenant) ?? 0) < (turns.get(best.tenant) ?? 0)) best = transfer;
    }
    if (best) this.queue.splice(this.queue.indexOf(best), 1);
    return best;
  }

  /** The machine is taken away: what it had done since the last checkpoint is lost, and its job is tried again. */
  private interrupt(machine: Machine): void {
    if (machine.version < 0) return;
    const { working } = machine;
    this.remove(machine);
    this.interruptions += 1;
    if (!working) return;
    const { transfer, stepsFrom } = working;
    const done = Math.max(0, this.agenda.now - stepsFrom);
    const lost = Math.min(done, this.draws.uniform53() * this.hardware.checkpointSeconds);
    if (done > 0) {
      transfer.begun = true;
      this.vectors.add(transfer.vectors);
    }
    transfer.left -= done - lost;
    this.lostSeconds += lost;
    this.queue.unshift(transfer);
    this.serve();
  }

  private remove(machine: Machine): void {
    machine.version = -1;
    this.idle.delete(machine);
    this.machines -= 1;
    this.machineSeconds += this.agenda.now - machine.paidFrom;
    this.serve();
  }

  /** Something that happens to the machine unless something else does before. */
  private later(machine: Machine, seconds: number, run: () => void): void {
    const version = ++machine.version;
    this.agenda.enter(this.agenda.now + seconds, () => machine.version === version && run());
  }
}

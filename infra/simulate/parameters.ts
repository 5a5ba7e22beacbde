/** Every number that the simulation starts from, with where it is from. What is called an assumption was not measured. */

export interface Hardware {
  /** USD an hour of one machine. */
  readonly pricePerHour: number;
  /** Reclaims of a running Spot machine an hour. */
  readonly interruptionsPerHour: number;
  /** From the request for a machine until it takes a job. */
  readonly machineStartSeconds: number;
  /** How much of that is paid for. */
  readonly paidStartSeconds: number;
  /** How long an idle machine is kept, paid for. */
  readonly idleSeconds: number;
  /** Container, Node, and the check of the CUDA provider. */
  readonly jobStartSeconds: number;
  /** Bringing a target onto the machine's disk for the first time. */
  readonly downloadSeconds: number;
  /** From the disk to the device, with its graphs. */
  readonly loadSeconds: number;
  /** Sudden death costs up to so much work; a reclaim with its notice costs less. */
  readonly checkpointSeconds: number;
  /** A job takes further transfers for so long. */
  readonly shiftSeconds: number;
  readonly maxMachines: number;
}

export interface Demand {
  readonly transfersPerTenantMonth: number;
  /** A tenant submits up to so many prompts at once, all numbers equally often. */
  readonly largestGroup: number;
  readonly targets: number;
  /** Part of the tenants whose first transfer is in the simulated time. */
  readonly newTenants: number;
  /** Steps of a transfer, all equally often. */
  readonly steps: readonly number[];
  readonly secondsPerStep: number;
  /** Unprompted hidden states of the public set. */
  readonly vectorSeconds: number;
}

/** Of the target that the figures are for: 1.5·10⁹ weights, as GPT-2 XL. */
const WEIGHTS = 1.5e9;
const WEIGHT_GIGABYTES = 6;
/** Assumption: 35 % of an A10G's 70·10¹² operations a second (NVIDIA's data sheet, 16-bit tensor cores, dense). */
const OPERATIONS_PER_SECOND = 0.35 * 70e12;
/** 8 texts of 128 tokens and a prompt of 100, forward and backward; the frozen weights have no gradient: 4 operations a weight and token. */
const OPERATIONS_PER_STEP = 4 * WEIGHTS * (8 * 128 + 100);
/** Assumption: 5 000 public texts of 128 tokens, forward only. */
const OPERATIONS_FOR_VECTORS = 2 * WEIGHTS * 5000 * 128;

export const HARDWARE: Hardware = {
  // g5.xlarge in us-east-1: 1.006 on demand, 0.30 to 0.50 on Spot (cloudprice.app, "Spot instance economics", 2026).
  pricePerHour: 0.4,
  // Spot Instance Advisor gives bands of a month (g5: below 5 % to 20 %, the same source). Assumption, pessimistic: 5 % an hour.
  interruptionsPerHour: 0.05,
  // Assumptions: Batch asks for a machine within a minute, which boots for one and pulls a 5 GB image for another.
  machineStartSeconds: 180,
  paidStartSeconds: 120,
  // Assumption: Batch keeps an idle machine for some minutes.
  idleSeconds: 180,
  jobStartSeconds: 10,
  // Assumptions: 250 MB a second from the bucket, 500 MB a second from the disk and ten seconds for the graphs.
  downloadSeconds: WEIGHT_GIGABYTES / 0.25,
  loadSeconds: 10 + WEIGHT_GIGABYTES / 0.5,
  // As batch/lifecycle/attempt.ts and shared/protocol/job.ts have them.
  checkpointSeconds: 2,
  shiftSeconds: 1800,
  // Assumption: the account's quota, which no number of tenants below reaches.
  maxMachines: 256,
};

/** All assumptions but the steps, which go up to the paper's; the default is 1 000. */
export const DEMAND: Demand = {
  transfersPerTenantMonth: 4,
  largestGroup: 5,
  targets: 3,
  newTenants: 0.1,
  steps: [500, 1000, 2000, 5000],
  secondsPerStep: OPERATIONS_PER_STEP / OPERATIONS_PER_SECOND,
  vectorSeconds: OPERATIONS_FOR_VECTORS / OPERATIONS_PER_SECOND,
};

/** R2: 4.50 USD a million writes and lists, 0.36 a million reads (developers.cloudflare.com/r2/pricing, 2026). */
export const WRITE_PRICE = 4.5e-6;
export const READ_PRICE = 0.36e-6;
/** Requests of a transfer to the bucket beside its checkpoints, counted in the code: upload, lease, output, result; spec, inputs. */
export const WRITES_PER_TRANSFER = 20;
export const READS_PER_TRANSFER = 20;

/** A compute environment that is limited to its mean load gets this much more, so that its queue ends. */
export const HEADROOM = 1.25;

export const TENANTS = [10, 100, 1000, 10_000, 100_000];
export const TRANSFERS = 4000;
export const SEED = 1;

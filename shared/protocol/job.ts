import { z } from "zod";
import { fileSchema, nameSchema, precisionSchema, publicSetSchema, studentKindSchema } from "./catalogue.ts";
import { JOB_PROTOCOL, versionFault } from "./job-version.ts";
import { digestSchema, rankedSetSchema, travelSchema } from "./manifest.ts";
import { progressSchema } from "./transfer.ts";
import { optionsSchema } from "./transfer-options.ts";
import { weightsSchema } from "./weights.ts";

const modelSchema = z.object({ id: nameSchema, digest: digestSchema, files: z.array(fileSchema) });
/** A target, in the form that the catalogue has it in. */
const targetSchema = modelSchema.extend({
  precision: precisionSchema.default("fp32"),
  weights: weightsSchema.default("fp32"),
});

/** Where a job reports to, and the token that only it has. */
export const reportSchema = z.object({ url: z.url(), token: z.string() });

const transferSpecSchema = z.object({
  kind: z.literal("transfer"),
  job: z.string(),
  target: targetSchema,
  student: modelSchema.extend({ kind: studentKindSchema }),
  publicSet: publicSetSchema,
  /** More sets of which it may take one instead. */
  alternatives: z.array(publicSetSchema).optional(),
  prompt: fileSchema,
  options: optionsSchema.omit({ dataset: true }),
  report: reportSchema,
});

const distillSpecSchema = z.object({
  kind: z.literal("distill"),
  job: z.string(),
  teacher: modelSchema.extend({ weights: weightsSchema.default("fp32") }),
  corpus: publicSetSchema,
  /** The student's name in the catalogue. */
  student: nameSchema,
  layers: z.array(z.int()).min(1),
  steps: z.int().positive(),
  batchSize: z.int().positive(),
  maxLength: z.int().positive(),
  learningRate: z.number().positive(),
  seed: z.int().nonnegative(),
});

const predictSpecSchema = z.object({
  kind: z.literal("predict"),
  job: z.string(),
  model: targetSchema,
  /** The job whose output is the prompt. */
  prompt: z.string(),
  data: publicSetSchema,
  /** Whether the texts are a tenant's: then they lie in the job's own folder. */
  own: z.boolean().optional(),
  /** Undefined for one that nobody waits for. */
  report: reportSchema.optional(),
});

/** `spec.json` in a job's folder. */
export const specSchema = z.discriminatedUnion("kind", [transferSpecSchema, distillSpecSchema, predictSpecSchema]);

export type TransferSpec = z.output<typeof transferSpecSchema>;
export type DistillSpec = z.output<typeof distillSpecSchema>;
export type PredictSpec = z.output<typeof predictSpecSchema>;
export type Spec = z.output<typeof specSchema>;

/** What a job says of its result, beside its files: a transfer how well the prompt travelled. */
const resultFactsSchema = z.object({
  travel: travelSchema.nullable().default(null),
  advice: z.array(z.string().max(1000)).max(10).default([]),
  ranked: z.array(rankedSetSchema).nullable().default(null),
});

export type ResultFacts = z.output<typeof resultFactsSchema>;

/** `result.json` in a job's folder. */
export const resultSchema = resultFactsSchema.extend({
  version: z.literal(JOB_PROTOCOL).default(JOB_PROTOCOL),
  files: z.array(fileSchema),
  /** Where they are, below the job's `output/`: each attempt has a folder of its own, so that files of two are never mixed. */
  folder: z
    .string()
    .regex(/^([a-z2-7]{16}\/)?$/)
    .default(""),
  /** What it ran on, and in which precision: undefined in results of early releases. */
  device: z.string().max(100).optional(),
  precision: precisionSchema.optional(),
  weights: weightsSchema.optional(),
  /** Seconds on the device over all attempts, start-up included. */
  deviceSeconds: z.number().nonnegative(),
});

export type JobResult = z.output<typeof resultSchema>;

/** A result of a release that this one knows, or no more than of which it is. */
export const anyResultSchema = z.union([
  resultSchema,
  z.object({ version: z.int().refine((version) => versionFault(version, "result") !== undefined) }),
]);

/** `lease.json` in a transfer's folder: who works on it (batch/README.md). */
export const leaseSchema = z.object({
  /** Batch's id of the job that does, or `WITHDRAWN`. */
  holder: z.string(),
  /** Counts those who had it, from 1. */
  epoch: z.int().positive(),
  /** When it ends unless it is renewed, in milliseconds since 1970. */
  until: z.number(),
});

export type LeaseRecord = z.output<typeof leaseSchema>;

/** Holds a transfer for ever that was cancelled: nobody is to work on it any more. */
export const WITHDRAWN: LeaseRecord = { holder: "withdrawn", epoch: 1, until: Number.MAX_SAFE_INTEGER };

/** A job takes further transfers that wait for its target for so long: then another start has its turn. */
export const SHIFT_SECONDS = 1800;

/** What a job tells the edge. Events may come twice, out of order or never; what a newer job says beside it is passed over. */
export const jobEventSchema = z
  .object({
    /** Counts those who worked on it, from 1: the lease's epoch. */
    attempt: z.int().positive(),
    /** Counts the events of an attempt: an older one than the last that arrived is ignored. */
    sequence: z.int().nonnegative(),
    state: z.enum(["running", "succeeded", "failed"]),
    progress: progressSchema.nullable(),
    /** Training step of the loss in `progress`. */
    step: z.int().nonnegative().optional(),
    problem: z.string().max(1000).optional(),
    /** Seconds on the device so far, over all attempts. */
    deviceSeconds: z.number().nonnegative().optional(),
    /** Batch's id of the job that works on the transfer, which may be another's. */
    runner: z.string().max(200).optional(),
    /** What it runs on. */
    device: z.string().max(100).optional(),
  })
  .meta({ id: "JobEvent" });

export type JobEvent = z.output<typeof jobEventSchema>;

import { randomUUID } from "node:crypto";
import { z } from "zod";
import { type Definition, definitionSchema, isEnded, type Job, submitSchema } from "./job.ts";
import type { Runner } from "./runner.ts";
import type { Store } from "./store.ts";

/** A mistake of the caller, as Batch reports it. */
export class ClientException extends Error {}

type Operation = (input: unknown) => unknown;

const PREFIX = "arn:aws:batch:local:000000000000";
/** As AWS: more jobs are described or listed in further calls. */
const PAGE = 100;

const describeSchema = z.object({ jobs: z.array(z.string()).max(PAGE) });
const endSchema = z.object({ jobId: z.string(), reason: z.string().min(1) });
const definitionsSchema = z.object({
  jobDefinitionName: z.string().optional(),
  jobDefinitions: z.array(z.string()).optional(),
});
const listSchema = z.object({
  jobQueue: z.string(),
  jobStatus: z.string().optional(),
  filters: z.array(z.object({ name: z.string(), values: z.array(z.string()).min(1) })).default([]),
  maxResults: z.int().min(1).max(PAGE).default(PAGE),
  nextToken: z.string().optional(),
});

/** The operations of AWS Batch that softpost needs, by the last part of their path. */
export function operations(store: Store, runner: Runner, queue: string): Readonly<Record<string, Operation>> {
  return {
    registerjobdefinition(input) {
      const asked = parse(definitionSchema, input);
      const { jobDefinitionName } = asked;
      const revision = (store.definition(jobDefinitionName)?.revision ?? 0) + 1;
      const jobDefinitionArn = `${PREFIX}:job-definition/${jobDefinitionName}:${revision}`;
      store.putDefinition({ ...asked, revision, jobDefinitionArn, status: "ACTIVE" });
      return { jobDefinitionName, jobDefinitionArn, revision };
    },

    describejobdefinitions(input) {
      const { jobDefinitionName, jobDefinitions } = parse(definitionsSchema, input);
      const wanted = (definition: Definition) =>
        (jobDefinitionName === undefined || definition.jobDefinitionName === jobDefinitionName) &&
        (jobDefinitions === undefined || jobDefinitions.some((name) => store.definition(name) === definition));
      return { jobDefinitions: store.allDefinitions().filter(wanted) };
    },

    submitjob(input) {
      const { jobName, jobQueue, jobDefinition, parameters, retryStrategy, timeout } = parse(submitSchema, input);
      const definition = store.definition(jobDefinition);
      if (!definition) throw new ClientException(`JobDefinition ${jobDefinition} not found`);
      if (jobQueue !== queue) throw new ClientException(`JobQueue ${jobQueue} not found`);
      const jobId = randomUUID();
      const job: Job = {
        jobId,
        jobArn: `${PREFIX}:job/${jobId}`,
        jobName,
        jobQueue,
        jobDefinition: definition.jobDefinitionArn,
        status: "RUNNABLE",
        createdAt: Date.now(),
        attempts: [],
        parameters: { ...definition.parameters, ...parameters },
        retryStrategy: retryStrategy ?? definition.retryStrategy,
        timeout: timeout ?? definition.timeout,
        isTerminated: false,
        container: definition.containerProperties,
      };
      store.put(job);
      runner.schedule();
      return { jobId, jobName, jobArn: job.jobArn };
    },

    describejobs(input) {
      const jobs = parse(describeSchema, input).jobs.flatMap((id) => store.job(id.split("/").at(-1)!) ?? []);
      return { jobs: jobs.map(({ process: _, ...job }) => job) };
    },

    listjobs(input) {
      const { jobQueue, jobStatus, filters, maxResults, nextToken } = parse(listSchema, input);
      const names = filters.find(({ name }) => name === "JOB_NAME")?.values;
      const wanted = (job: Job) =>
        job.jobQueue === jobQueue &&
        // As AWS: with a filter jobStatus doesn't count; with neither, only running jobs are listed.
        (names ? names.some((name) => matchesName(name, job.jobName)) : job.status === (jobStatus ?? "RUNNING"));
      const all = store.allJobs().filter(wanted);
      const start = Number(nextToken ?? 0);
      const page = all.slice(start, start + maxResults);
      return {
        jobSummaryList: page.map(
          ({ jobId, jobArn, jobName, status, statusReason, createdAt, startedAt, stoppedAt }) => ({
            jobId,
            jobArn,
            jobName,
            status,
            statusReason,
            createdAt,
            startedAt,
            stoppedAt,
          }),
        ),
        ...(start + maxResults < all.length && { nextToken: String(start + maxResults) }),
      };
    },

    terminatejob(input) {
      const { jobId, reason } = parse(endSchema, input);
      const job = store.job(jobId);
      if (job) runner.terminate(job, reason);
      return {};
    },

    canceljob(input) {
      const { jobId, reason } = parse(endSchema, input);
      const job = store.job(jobId);
      if (job && !isEnded(job) && job.status !== "RUNNING") runner.terminate(job, reason);
      return {};
    },
  };
}

function matchesName(pattern: string, name: string): boolean {
  const [wanted, given] = [pattern.toLowerCase(), name.toLowerCase()];
  return wanted.endsWith("*") ? given.startsWith(wanted.slice(0, -1)) : given === wanted;
}

function parse<S extends z.ZodType>(schema: S, input: unknown): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new ClientException(`${issue!.path.join(".")}: ${issue!.message}`);
}

import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Definition, Job } from "./job.ts";

/** How often writing is tried again. */
const RETRY_MS = 1000;

/** Jobs and definitions, in memory and as one JSON file each, written at every change: what a restarted daemon finds is what was. */
export class Store {
  readonly folder: string;
  private readonly jobs: Map<string, Job>;
  private readonly definitions: Map<string, Definition>;
  private readonly unwritten = new Set<string>();
  private timer: NodeJS.Timeout | undefined;

  constructor(folder: string) {
    this.folder = folder;
    for (const part of ["jobs", "definitions", "logs"]) mkdirSync(join(folder, part), { recursive: true });
    this.jobs = new Map(readAll<Job>(join(folder, "jobs")).map((job) => [job.jobId, job]));
    this.definitions = new Map(
      readAll<Definition>(join(folder, "definitions"))
        .sort((a, b) => a.revision - b.revision)
        .map((definition) => [nameOf(definition), definition]),
    );
  }

  job(id: string): Job | undefined {
    return this.jobs.get(id);
  }

  /** Oldest first. */
  allJobs(): Job[] {
    return [...this.jobs.values()].sort((a, b) => a.createdAt - b.createdAt);
  }

  put(job: Job): Job {
    write(join(this.folder, "jobs", `${job.jobId}.json`), job);
    this.jobs.set(job.jobId, job);
    return job;
  }

  /**
   * Remembers what has happened to a job already, and writes it down as soon as that is possible: a full disk must not end the daemon. If it ends
   * before, the next one takes the job for one that was running, and starts it again.
   */
  keep(job: Job): Job {
    this.jobs.set(job.jobId, job);
    this.unwritten.add(job.jobId);
    this.writeUnwritten();
    return job;
  }

  private writeUnwritten(): void {
    clearTimeout(this.timer);
    try {
      for (const id of this.unwritten) {
        this.put(this.jobs.get(id)!);
        this.unwritten.delete(id);
      }
    } catch {
      this.timer = setTimeout(() => this.writeUnwritten(), RETRY_MS).unref();
    }
  }

  allDefinitions(): Definition[] {
    return [...this.definitions.values()];
  }

  /** By ARN, `name:revision`, or the newest revision of a name. */
  definition(reference: string): Definition | undefined {
    const name = reference.split("/").at(-1)!;
    return this.definitions.get(name) ?? this.allDefinitions().findLast((d) => d.jobDefinitionName === name);
  }

  putDefinition(definition: Definition): void {
    write(join(this.folder, "definitions", `${nameOf(definition).replace(":", "-")}.json`), definition);
    this.definitions.set(nameOf(definition), definition);
  }
}

function nameOf({ jobDefinitionName, revision }: Definition): string {
  return `${jobDefinitionName}:${revision}`;
}

function readAll<T>(folder: string): T[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return names.map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
}

/** Renaming is atomic: a daemon that is killed leaves the old file or the new one, never half of it. */
function write(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

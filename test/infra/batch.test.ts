import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import {
  BatchClient,
  DescribeJobDefinitionsCommand,
  DescribeJobsCommand,
  ListJobsCommand,
  RegisterJobDefinitionCommand,
  SubmitJobCommand,
  TerminateJobCommand,
} from "@aws-sdk/client-batch";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Batch, startBatch } from "../../infra/local/batch/daemon.ts";

const KEY = "test-key";
let folder: string;
let batch: Batch;
let client: BatchClient;

const start = async (concurrency = 1) => {
  batch = await startBatch({ folder, port: 0, queue: "queue", concurrency, accessKeyId: KEY });
  batch.run();
  client = clientWith(KEY);
};

const clientWith = (accessKeyId: string) =>
  new BatchClient({
    region: "local",
    endpoint: batch.url,
    credentials: { accessKeyId, secretAccessKey: "x" },
    maxAttempts: 1,
  });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-batch-"));
  await start();
});

afterEach(async () => {
  await batch.close();
  rmSync(folder, { recursive: true });
});

type Retry = {
  attempts: number;
  evaluateOnExit?: { action: "RETRY" | "EXIT"; onExitCode?: string; onStatusReason?: string }[];
};

async function define(command: string[], retryStrategy?: Retry): Promise<void> {
  await client.send(
    new RegisterJobDefinitionCommand({
      jobDefinitionName: "definition",
      type: "container",
      containerProperties: { image: "none", command, environment: [{ name: "COLOUR", value: "blue" }] },
      ...(retryStrategy && { retryStrategy }),
    }),
  );
}

async function submit(jobName: string, parameters: Record<string, string> = {}): Promise<string> {
  const command = new SubmitJobCommand({ jobName, jobQueue: "queue", jobDefinition: "definition", parameters });
  return (await client.send(command)).jobId!;
}

const describeJob = async (id: string) => (await client.send(new DescribeJobsCommand({ jobs: [id] }))).jobs![0]!;

async function until(id: string, ...statuses: string[]) {
  return expect
    .poll(async () => (await describeJob(id)).status, { timeout: 120_000 })
    .toSatisfy((status: string) => statuses.includes(status))
    .then(() => describeJob(id));
}

describe("a job", () => {
  test("runs its command with parameters, its definition's environment and Batch's own", async () => {
    const script =
      'process.exit([process.argv[1], process.env.COLOUR, process.env.AWS_BATCH_JOB_ATTEMPT].join() === "here,blue,1" && process.env.AWS_BATCH_JOB_ID && !process.env.SECRET_OF_OURS ? 0 : 3)';
    process.env.SECRET_OF_OURS = "x";
    await define([process.execPath, "-e", script, "Ref::where"]);
    const job = await until(await submit("a", { where: "here" }), "SUCCEEDED", "FAILED");
    expect(job.attempts?.[0]?.container?.exitCode).toBe(0);
    expect(job.status).toBe("SUCCEEDED");
    expect(job.stoppedAt).toBeGreaterThanOrEqual(job.startedAt!);
  });

  test("is tried again as its rules say, and fails when they say so", async () => {
    const evaluateOnExit = [
      { onExitCode: "7", action: "RETRY" as const },
      { onExitCode: "*", action: "EXIT" as const },
    ];
    const script = "process.exit(process.env.AWS_BATCH_JOB_ATTEMPT === '3' ? 2 : 7)";
    await define([process.execPath, "-e", script], { attempts: 10, evaluateOnExit });
    const job = await until(await submit("a"), "FAILED");
    expect(job.attempts?.map(({ container }) => container?.exitCode)).toEqual([7, 7, 2]);
  });

  test("without a matching rule is tried until its attempts are used up", async () => {
    await define(["false"], { attempts: 2, evaluateOnExit: [{ onExitCode: "9", action: "EXIT" }] });
    expect((await until(await submit("a"), "FAILED")).attempts).toHaveLength(2);
  });

  test("whose command isn't there fails", async () => {
    await define(["/no/such/program"]);
    expect((await until(await submit("a"), "FAILED")).statusReason).toMatch(/failed to start/);
  });

  test("whose limit is longer than a timer of Node's isn't ended by it", async () => {
    await define([process.execPath, "-e", "setTimeout(() => {}, 1000)"]);
    const timeout = { attemptDurationSeconds: 3_000_000 };
    const command = new SubmitJobCommand({ jobName: "a", jobQueue: "queue", jobDefinition: "definition", timeout });
    const { jobId } = await client.send(command);
    expect((await until(jobId!, "SUCCEEDED", "FAILED")).status).toBe("SUCCEEDED");
  });

  test("that waits or runs can be terminated, with all that it started", async () => {
    await define(["sh", "-c", "sleep 60 & wait"]);
    const [running, waiting] = [await submit("a"), await submit("b")];
    await until(running, "RUNNING");
    expect((await describeJob(waiting)).status).toBe("RUNNABLE");
    for (const jobId of [waiting, running]) await client.send(new TerminateJobCommand({ jobId, reason: "Enough." }));
    expect((await until(running, "FAILED")).statusReason).toBe("Enough.");
    expect((await until(waiting, "FAILED")).attempts).toEqual([]);
  });
});

test("jobs are listed by name, definitions by revision", async () => {
  await define(["true"]);
  await define(["true"]);
  const definitions = await client.send(new DescribeJobDefinitionsCommand({ jobDefinitionName: "definition" }));
  expect(definitions.jobDefinitions?.map(({ revision }) => revision)).toEqual([1, 2]);
  const id = await submit("first");
  await submit("second");
  const filters = [{ name: "JOB_NAME", values: ["first"] }];
  const listed = await client.send(new ListJobsCommand({ jobQueue: "queue", filters }));
  expect(listed.jobSummaryList?.map(({ jobId }) => jobId)).toEqual([id]);
  expect((await client.send(new DescribeJobsCommand({ jobs: ["unknown"] }))).jobs).toEqual([]);
});

test("mistakes are ClientExceptions", async () => {
  await expect(submit("a")).rejects.toMatchObject({
    name: "ClientException",
    message: "JobDefinition definition not found",
  });
  await define(["true"]);
  await expect(submit("not a name")).rejects.toMatchObject({ name: "ClientException" });
  const wrongQueue = new SubmitJobCommand({ jobName: "a", jobQueue: "other", jobDefinition: "definition" });
  await expect(client.send(wrongQueue)).rejects.toMatchObject({ message: "JobQueue other not found" });
});

test("who doesn't know the access key id gets nowhere", async () => {
  const stranger = clientWith("other-key").send(new DescribeJobsCommand({ jobs: [] }));
  await expect(stranger).rejects.toMatchObject({ message: "The security token is not valid" });
  const page = await fetch(`${batch.url}/v1/describejobs`, { method: "POST", body: "{}" });
  expect(page.status).toBe(400);
});

test("a restarted daemon resumes what was running and keeps what was done", async () => {
  // The first attempt runs until it is told to stop; the second ends at once.
  const script = "process.env.AWS_BATCH_JOB_ATTEMPT === '1' ? setInterval(() => {}, 1000) : process.exit(0)";
  await define([process.execPath, "-e", script], {
    attempts: 3,
    evaluateOnExit: [
      { onStatusReason: "Host EC2*", action: "RETRY" },
      { onExitCode: "*", action: "EXIT" },
    ],
  });
  const id = await submit("a");
  await until(id, "RUNNING");
  await batch.close();
  await start();
  const job = await until(id, "SUCCEEDED");
  expect(job.attempts?.map(({ statusReason }) => statusReason?.startsWith("Host EC2"))).toEqual([true, false]);
});

test("what waits when a daemon is started again runs as its definition has it by then, and keeps what is its own", async () => {
  const define = (command: string[], environment: { name: string; value: string }[]) =>
    client.send(
      new RegisterJobDefinitionCommand({
        jobDefinitionName: "definition",
        type: "container",
        containerProperties: { image: "none", command, environment },
      }),
    );
  /** Without `run` nothing is started: jobs wait. */
  const restart = async () => {
    await batch.close();
    batch = await startBatch({ folder, port: 0, queue: "queue", concurrency: 1, accessKeyId: KEY });
    client = clientWith(KEY);
  };
  await restart();
  const own = { name: "OWN", value: "kept" };
  await define(["/gone/with/the/old/release"], [{ name: "ENDPOINT", value: "old" }, own]);
  const waiting = await submit("a");
  await restart();
  const script = "process.exit([process.env.ENDPOINT, process.env.OWN].join() === 'new,kept' ? 0 : 3)";
  await define([process.execPath, "-e", script], [{ name: "ENDPOINT", value: "new" }]);
  await batch.run();
  expect((await until(waiting, "SUCCEEDED", "FAILED")).attempts?.at(-1)?.container?.exitCode).toBe(0);
});

test("who asks for it is told of every end before another job starts", async () => {
  await batch.close();
  batch = await startBatch({ folder, port: 0, queue: "queue", concurrency: 1, accessKeyId: KEY });
  client = clientWith(KEY);
  await define(["true"]);
  const ids = [await submit("a"), await submit("b")];
  const told: unknown[] = [];
  await batch.run(async (ended, others) => {
    await setTimeout(100);
    const statuses = await Promise.all(ids.map(async (id) => (await describeJob(id)).status));
    told.push([ids.indexOf(ended), others, statuses]);
  });
  await until(ids[1]!, "SUCCEEDED");
  expect(told).toEqual([
    [0, ["b"], ["RUNNING", "RUNNABLE"]],
    [1, [], ["SUCCEEDED", "RUNNING"]],
  ]);
});

test("a disk that can't be written for a while ends neither the daemon nor its jobs", async () => {
  await define([process.execPath, "-e", "setTimeout(() => {}, 500)"]);
  const id = await submit("a");
  await until(id, "RUNNING");
  // Whatever is written into the folder fails, as on a full disk.
  const jobs = join(folder, "jobs");
  renameSync(jobs, `${jobs}-away`);
  writeFileSync(jobs, "");
  await until(id, "SUCCEEDED");
  await expect(submit("b")).rejects.toMatchObject({ name: "ServerException" });
  rmSync(jobs);
  renameSync(`${jobs}-away`, jobs);
  const kept = () => JSON.parse(readFileSync(join(jobs, `${id}.json`), "utf8")).status;
  await expect.poll(kept, { timeout: 120_000 }).toBe("SUCCEEDED");
  await until(await submit("b"), "SUCCEEDED");
});

test("a daemon that finds a job running that it doesn't know takes its process for dead", async () => {
  await define(["true"], { attempts: 3 });
  const id = await submit("a");
  const job = await until(id, "SUCCEEDED");
  await batch.close();
  // As a daemon leaves it that is killed while the job runs; the number is of a process that isn't the job.
  const left = { ...job, status: "RUNNING", attempts: [], process: process.pid, isTerminated: false };
  writeFileSync(join(folder, "jobs", `${id}.json`), JSON.stringify(left));
  await start();
  expect((await until(id, "SUCCEEDED")).attempts).toHaveLength(2);
});

/**
 * The same client calls against moto, an independent imitation of AWS in Python: a check of our daemon's and bucket's manners. It runs where
 * `python3 -m moto.server` does (pip install 'moto[server,batch,s3]').
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  BatchClient,
  CreateComputeEnvironmentCommand,
  CreateJobQueueCommand,
  DescribeJobsCommand,
  ListJobsCommand,
  RegisterJobDefinitionCommand,
  SubmitJobCommand,
  TerminateJobCommand,
} from "@aws-sdk/client-batch";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Bucket } from "../../batch/storage/bucket.ts";

const PORT = 5123;
const endpoint = `http://127.0.0.1:${PORT}`;
const credentials = { accessKeyId: "a", secretAccessKey: "b" };
const has = spawnSync("python3", ["-c", "import moto.server"]).status === 0;
if (!has) console.log("moto is not installed, so the checks against it are skipped.");

describe.skipIf(!has)("moto takes", () => {
  let server: ChildProcess;
  const batch = new BatchClient({ region: "us-east-1", endpoint, credentials });

  beforeAll(async () => {
    // In its simple mode jobs succeed without a container.
    server = spawn("python3", ["-m", "moto.server", "-p", String(PORT)], {
      env: { ...process.env, MOTO_SIMPLE_BATCH: "1" },
      stdio: "ignore",
    });
    await vi.waitFor(() => fetch(endpoint), { timeout: 120_000, interval: 200 });
  });

  afterAll(() => server.kill());

  test("the calls to Batch", async () => {
    // A compute environment must name a role that exists; the service is told by the credential's scope.
    const scope = "Credential=a/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none";
    const role = { Action: "CreateRole", Version: "2010-05-08", RoleName: "x", AssumeRolePolicyDocument: "{}" };
    const headers = { authorization: `AWS4-HMAC-SHA256 ${scope}` };
    expect((await fetch(endpoint, { method: "POST", headers, body: new URLSearchParams(role) })).status).toBe(200);
    const { computeEnvironmentArn } = await batch.send(
      new CreateComputeEnvironmentCommand({
        computeEnvironmentName: "softpost",
        type: "UNMANAGED",
        serviceRole: "arn:aws:iam::123456789012:role/x",
      }),
    );
    const order = [{ order: 1, computeEnvironment: computeEnvironmentArn }];
    const queue = { jobQueueName: "softpost", state: "ENABLED" as const, priority: 1, computeEnvironmentOrder: order };
    await batch.send(new CreateJobQueueCommand(queue));
    await batch.send(
      new RegisterJobDefinitionCommand({
        jobDefinitionName: "softpost-transfer",
        type: "container",
        containerProperties: { image: "busybox", command: ["true", "Ref::spec"], vcpus: 1, memory: 128 },
      }),
    );
    const submit = { jobName: "tenant-transfer", jobQueue: "softpost", jobDefinition: "softpost-transfer" };
    const more = { parameters: { spec: "key" }, timeout: { attemptDurationSeconds: 600 } };
    const { jobId } = await batch.send(new SubmitJobCommand({ ...submit, ...more }));
    const filters = [{ name: "JOB_NAME", values: ["tenant-transfer"] }];
    const listed = await batch.send(new ListJobsCommand({ jobQueue: "softpost", filters }));
    expect(listed.jobSummaryList?.map((job) => job.jobId)).toEqual([jobId]);
    await batch.send(new TerminateJobCommand({ jobId, reason: "Enough." }));
    const ended = async () => {
      const described = await batch.send(new DescribeJobsCommand({ jobs: [jobId!] }));
      expect(["SUCCEEDED", "FAILED"]).toContain(described.jobs?.[0]?.status);
    };
    await vi.waitFor(ended, { timeout: 120_000, interval: 200 });
  });

  test("the calls to S3", async () => {
    const s3 = new S3Client({ region: "us-east-1", endpoint, credentials, forcePathStyle: true });
    await s3.send(new CreateBucketCommand({ Bucket: "softpost" }));
    const bucket = new Bucket({ name: "softpost", endpoint, credentials });
    await bucket.write("a/b", "text");
    expect(await bucket.list("a/")).toEqual(["a/b"]);
    expect([await bucket.writeOnce("a/b", "other"), await bucket.writeOnce("a/c", "new")]).toEqual([false, true]);
    expect(new TextDecoder().decode(await bucket.read("a/b"))).toBe("text");
  });
});

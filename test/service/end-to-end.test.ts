import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BatchClient, DescribeJobDefinitionsCommand, RegisterJobDefinitionCommand } from "@aws-sdk/client-batch";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startRecorder } from "../../demo/recorder.ts";
import { freePort } from "../../infra/local/identity.ts";
import { readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { encodeSafetensors } from "../../shared/prompt/safetensors.ts";
import { sha256 } from "../../shared/protocol/manifest.ts";
import type { Transfer } from "../../shared/protocol/transfer.ts";
import { fixture } from "../helpers/fixtures.ts";
import { holding, softpost } from "../helpers/softpost.ts";
import { client, type Served, serve } from "./served.ts";

/** What the client's own files and folders are called. */
const NAMES = ["merger-with-acme", "acme-private", "acme-prompt", "acme-task"];
const CANARIES = [...NAMES, "xylophone-canary-4711", "Grandmother hid the emerald", "dataset-owner@canary.example"];
/** On a machine that has much else to do. */
const SLOW = 240_000;

let folder: string;
let provider: Served;
const at = (name: string) => join(folder, name);

async function ok(...args: string[]) {
  const { code, stdout, stderr } = await softpost("--json", ...args, "--url", provider.url, "--key", provider.key);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-service-"));
  const few = ["--steps", "3", "--max-length", "12", "--batch-size", "2"];
  const distill = ["--target", fixture("tiny-gpt2"), "--public", fixture("tiny-task/train.jsonl"), ...few];
  expect(await softpost("distill", ...distill, "--out", at("student"))).toMatchObject({ code: 0 });
  // Enough texts for some to be held out.
  const texts = ["train", "test"].map((name) => readFileSync(fixture(`tiny-task/${name}.jsonl`), "utf8"));
  writeFileSync(at("test.jsonl"), texts.join(""));
  // Two jobs, so that none waits for another test's.
  const models = ["--target", fixture("tiny-gpt2"), "--student", at("student")];
  const published = [...models, "--public", at("test.jsonl"), "--jobs", "2"];
  provider = await serve(at("provider"), ...published);
  const task = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
  const tune = ["--model", at("student"), ...task, "--steps", "3", "--prompt-tokens", "4", "--out", at("prompt")];
  expect(await softpost("tune", ...tune)).toMatchObject({ code: 0 });
}, SLOW);

afterAll(async () => {
  await provider?.end("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

test(
  "a client gets a student, tunes, asks, submits, waits, downloads; only the manifest and the prompt leave",
  async () => {
    const recorder = await startRecorder(provider.url);
    const private_ = at("acme-private.jsonl");
    const task_ = at("acme-task.json");
    copyFileSync(fixture("tiny-task/task.json"), task_);
    const rows = CANARIES.map((text, i) => JSON.stringify({ text: `${text} it was so good`, label: i % 2 }));
    writeFileSync(private_, `${rows.join("\n")}\n`);
    const connections = at("connections");
    const nodeArgs = ["--import", fileURLToPath(new URL("./record-connections.ts", import.meta.url))];
    const env = { SOFTPOST_TEST_CONNECTIONS: connections };
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await client(["--json", ...args], {
        url: recorder.url,
        key: provider.key,
        env,
        nodeArgs,
      });
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout);
    };

    const { students, publicSets } = await run("students");
    await run("students", students[0].id, "--out", at("merger-with-acme"));
    const task = ["--task", task_, "--train", private_];
    const few = ["--steps", "3", "--batch-size", "2", "--prompt-tokens", "4"];
    await run("tune", "--model", at("merger-with-acme"), ...task, ...few, "--out", at("acme-prompt"));
    const transfer = [
      "--prompt",
      at("acme-prompt"),
      "--dataset",
      "set-7",
      "--public",
      publicSets[0].id,
      "--steps",
      "20",
    ];
    const quote = await run("quote", ...transfer);
    const dry = await run("submit", ...transfer, "--dry-run", "--idempotency-key", "one");
    expect(recorder.requests.filter(({ method }) => method === "POST")).toHaveLength(1);
    const { id, reserved } = await run("submit", ...transfer, "--no-privacy", "--idempotency-key", "one");
    expect(reserved).toEqual(quote.reserve);
    expect((await run("submit", ...transfer, "--no-privacy", "--idempotency-key", "one")).id).toBe(id);
    const done = await run("wait", id);
    expect(done).toMatchObject({ state: "succeeded", progress: { done: 20 } });
    await run("download", id, "--out", at("moved"));
    recorder.close();

    // The prompt is one for the target, and evaluates there.
    const moved = await readPromptFolder(at("moved"));
    expect(moved.manifest).toMatchObject({ model: { id: "tiny-gpt2" }, transfer: { publicSet: { id: "test" } } });
    // What its folder says of how it travelled is what the provider's record says.
    expect(done.travel).toEqual(moved.manifest?.transfer?.travel);
    expect(done.travel.heldOut).toBeGreaterThan(0);
    const evaluate = [
      "--model",
      fixture("tiny-gpt2"),
      "--task",
      fixture("tiny-task/task.json"),
      "--data",
      at("test.jsonl"),
    ];
    expect(await softpost("evaluate", ...evaluate, "--prompt", at("moved"))).toMatchObject({ code: 0 });

    // Every byte that left is accounted for.
    const manifest = JSON.parse(readFileSync(join(at("acme-prompt"), "softpost.json"), "utf8"));
    const options = { dataset: "set-7", publicSet: "test", steps: 20 };
    const posts = recorder.requests.filter(({ method }) => method === "POST");
    const [asked, sent] = ["/v1/quotes", "/v1/transfers"];
    expect(posts.map(({ path }) => path)).toEqual([asked, asked, sent, asked, sent]);
    expect(manifest.model.id).toBe(students[0].id);
    for (const { body } of posts.filter(({ path }) => path === asked)) {
      expect(JSON.parse(body.toString())).toEqual({ manifest, options });
    }
    for (const post of posts.filter(({ path }) => path === sent)) {
      expect(post.body.toString("base64")).toBe(dry.body);
      const form = await new Response(new Uint8Array(post.body), {
        headers: { "content-type": dry.headers["content-type"] },
      }).formData();
      expect([...form.keys()]).toEqual(["manifest", "prompt", "options"]);
      expect(JSON.parse(await (form.get("manifest") as File).text())).toEqual(manifest);
      expect(JSON.parse(await (form.get("options") as File).text())).toEqual(options);
      const weights = Buffer.from(await (form.get("prompt") as File).arrayBuffer());
      expect(weights.equals(readFileSync(join(at("acme-prompt"), "adapter_model.safetensors")))).toBe(true);
    }
    for (const { method, body, headers, path } of recorder.requests) {
      if (method !== "POST") expect(body).toHaveLength(0);
      const allowed =
        /^(host|connection|authorization|accept|accept-language|accept-encoding|sec-fetch-mode|user-agent|content-type|content-length|idempotency-key|last-event-id|range|if-range)$/;
      expect(Object.keys(headers).filter((name) => !allowed.test(name))).toEqual([]);
      const sent = Buffer.concat([Buffer.from(path + JSON.stringify(headers)), body]);
      for (const canary of CANARIES) for (const form of disguises(canary)) expect(sent.includes(form)).toBe(false);
    }
    const wentTo = new Set(readFileSync(connections, "utf8").trim().split("\n"));
    expect([...wentTo]).toEqual([new URL(recorder.url).host]);
  },
  SLOW,
);

/** A text as it might be hidden in what is sent. */
function disguises(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const middle = (encoded: string) => Buffer.from(encoded.slice(4, -4));
  return [
    bytes,
    Buffer.from(text, "utf16le"),
    Buffer.from(bytes.toString("hex")),
    // Base 64 depends on what stands before: cut at the three places, the middle is the same.
    ...[0, 1, 2].map((cut) => middle(bytes.subarray(cut).toString("base64"))),
    Buffer.from(encodeURIComponent(text)),
  ];
}

test(
  "a job whose provider is stopped, that is killed itself, and whose provider is killed ends with the prompt of an undisturbed run",
  async () => {
    const options = ["--public", "test", "--steps", "60", "--batch-size", "4", "--seed", "5", "--alpha", "0.5"];
    const transfer = ["--prompt", at("prompt"), ...options];
    const hold = at("hold");
    await holdTransfers(hold, 10);
    const { id } = await ok("submit", ...transfer, "--no-privacy", "--dataset", "disturbed");
    // In the middle of it the provider is stopped: the job writes a checkpoint.
    await until(async () => (await stepsOf(id)) === 10);
    expect(await provider.end("SIGTERM")).toBe(0);
    // On another port: what waits finds the bucket and the edge there, else there would be no progress to see.
    provider = await serve(at("provider"), "--jobs", "2", "--port", String(await freePort()));
    expect(await provider.store.list(`jobs/${jobOf(id).jobName}/checkpoint/`)).not.toEqual([]);
    // Its next attempt goes on from there and is killed, and then, in its third, the whole provider.
    await until(async () => (await stepsOf(id)) > 15);
    expect(jobOf(id).attempts).toHaveLength(1);
    process.kill(-jobOf(id).process!, "SIGKILL");
    await until(() => jobOf(id).status === "RUNNING" && jobOf(id).attempts.length === 2);
    await provider.end("SIGKILL");
    provider = await serve(at("provider"), "--jobs", "2");
    rmSync(hold);

    expect(await ok("wait", id)).toMatchObject({ state: "succeeded", progress: { done: 60, total: 60 } });
    // The end of the last attempt may not be written down yet.
    const ends = jobOf(id).attempts.map(({ statusReason }) => statusReason.split(" ", 2).join(" "));
    expect(ends.slice(0, 3)).toEqual(["Host EC2", "Essential container", "Host EC2"]);
    const undisturbed = await ok("submit", ...transfer, "--no-privacy", "--dataset", "undisturbed");
    await ok("wait", undisturbed.id);
    await ok("download", id, "--out", at("disturbed"));
    await ok("download", undisturbed.id, "--out", at("undisturbed"));
    const weights = (name: string) => readFileSync(join(at(name), "adapter_model.safetensors"));
    expect(weights("disturbed").equals(weights("undisturbed"))).toBe(true);

    const { money, deviceSeconds, concurrent } = await ok("budget");
    expect([money.reserved, deviceSeconds.reserved, concurrent.used]).toEqual([0, 0, 0]);
    const transfers = (await ok("status")).transfers as { cost: { micros: number } }[];
    expect(money.used).toBe(transfers.reduce((sum, { cost }) => sum + cost.micros, 0));
    // The unprompted states were computed once for all transfers.
    expect(await provider.store.list("states/")).toHaveLength(2);
  },
  SLOW,
);

/** From now on transfers are submitted as jobs that `hold-steps.ts` holds, until the provider is started again. */
async function holdTransfers(file: string, steps: number): Promise<void> {
  writeFileSync(file, String(steps));
  const identity = JSON.parse(readFileSync(join(at("provider"), "provider.json"), "utf8"));
  const { batchPort, accessKeyId, secretAccessKey } = identity;
  const credentials = { accessKeyId, secretAccessKey };
  const batch = new BatchClient({ region: "local", endpoint: `http://127.0.0.1:${batchPort}`, credentials });
  const asked = new DescribeJobDefinitionsCommand({ jobDefinitionName: "softpost-transfer" });
  const { containerProperties, retryStrategy } = (await batch.send(asked)).jobDefinitions!.at(-1)!;
  const held = Object.entries(holding(file)).map(([name, value]) => ({ name, value }));
  const environment = [...containerProperties!.environment!, ...held];
  await batch.send(
    new RegisterJobDefinitionCommand({
      jobDefinitionName: "softpost-transfer",
      type: "container",
      retryStrategy,
      containerProperties: { ...containerProperties, environment },
    }),
  );
}

interface StoredJob {
  readonly jobName: string;
  readonly status: string;
  readonly process?: number;
  readonly attempts: readonly { readonly statusReason: string }[];
}

/** The transfer's job as Batch's daemon keeps it. */
function jobOf(id: string): StoredJob {
  const path = join(at("provider"), "batch", "jobs");
  const names = readdirSync(path).filter((name) => name.endsWith(".json"));
  const jobs: StoredJob[] = names.map((name) => JSON.parse(readFileSync(join(path, name), "utf8")));
  return jobs.find(({ jobName }) => jobName.endsWith(id))!;
}

/** Steps of the transfer itself that the API shows as done. */
async function stepsOf(id: string): Promise<number> {
  const headers = { authorization: `Bearer ${provider.key}` };
  const answer = await fetch(`${provider.url}/v1/transfers/${id}`, { headers });
  const { progress } = (await answer.json()) as Transfer;
  return progress?.phase === "transferring" ? progress.done : 0;
}

const until = (holds: () => boolean | Promise<boolean>) =>
  expect.poll(async () => holds(), { timeout: SLOW, interval: 50 }).toBe(true);

test("a prompt with a local name in it, as softpost 0.1.0 tuned it, leaves with the provider's", async () => {
  const old = at("old-prompt");
  cpSync(at("prompt"), old, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(old, "softpost.json"), "utf8"));
  const record = { ...manifest.model, id: "merger-with-acme" };
  const publicSet = { id: "acme-public", digest: "ab".repeat(32), examples: 2 };
  const { training, prompt } = manifest;
  const transfer = { student: record, promptDigest: prompt.digest, publicSet, alpha: 0.5, temperature: 1, training };
  writeFileSync(join(old, "softpost.json"), JSON.stringify({ ...manifest, model: record, transfer }));
  const options = ["--prompt", old, "--dataset", "x", "--public", "test", "--dry-run"];
  const { body } = await ok("submit", ...options);
  const sent = Buffer.from(body, "base64").toString("latin1");
  expect(sent).not.toMatch(/acme/);
  expect(sent).toContain(`"id": "${(await ok("students")).students[0].id}"`);

  const weights = join(old, "adapter_model.safetensors");
  const { prompt: data, virtualTokens, dimension } = await readPromptFolder(old);
  const tensor = { name: "prompt_embeddings", shape: [virtualTokens, dimension], data };
  writeFileSync(weights, encodeSafetensors([tensor], { format: "pt", source: "/home/me/acme" }));
  const digest = await sha256(readFileSync(weights));
  writeFileSync(join(old, "softpost.json"), JSON.stringify({ ...manifest, prompt: { ...prompt, digest } }));
  const noted = await softpost("submit", ...options, "--url", provider.url, "--key", provider.key);
  expect([noted.code, noted.stderr]).toEqual([1, expect.stringContaining('notes of another program ("source")')]);
});

test("what is asked wrongly is answered with what is wrong", async () => {
  const refused = async (url: string, key: string, ...args: string[]) => {
    const { code, stdout, stderr } = await softpost(...args, "--url", url, "--key", key);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    return stderr;
  };
  const { url, key } = provider;
  const transfer = ["--prompt", at("prompt"), "--dataset", "x", "--public", "none"];
  expect(await refused(url, key, "submit", ...transfer)).toContain("or say --no-privacy");
  const submitted = await refused(url, key, "submit", ...transfer, "--no-privacy");
  expect(submitted).toContain("--public: Is no public set of this provider; softpost students lists them");
  expect(await refused(url, "wrong", "budget")).toContain("Not authenticated");
  expect(await refused("http://127.0.0.1:1", key, "budget")).toContain("can't be reached");
  expect(await refused("http://provider.example", key, "budget")).toContain("must be an https address");
});

/** Ctrl-C in every command that can run longer than a second: it ends with 130, and says what is kept and how to go on. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { FILES, QUOTE, student } from "../helpers/answers.ts";
import { fixture } from "../helpers/fixtures.ts";
import { type Finished, softpost, softpostProcess } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const MODEL = fixture("tiny-gpt2");
const TRAIN = fixture("tiny-task/train.jsonl");
const inputs = ["--model", MODEL, "--task", fixture("tiny-task/task.json")];
const few = ["--steps", "5", "--batch-size", "4"];
const RESUME = /Stopped after step 3, which is saved\. The same command with --resume goes on from there\.\n$/;
const ANEW = /Stopped\. (Nothing was written|What was printed is done); the same command begins anew\.\n$/;

const prompt = ["--prompt", fixture("tiny-prompt"), "--task", fixture("tiny-task/task.json")];
/** More rows than are run at once. */
const MANY = 80;
const data = (name = "--data") => [
  name,
  temporaryFile("many.jsonl", '{"text": "The film was good", "label": 1}\n'.repeat(MANY)),
];
const audited = [...inputs, "--train", TRAIN, "--prompt-tokens", "2", "--steps", "5", "--batch-size", "4"];
const corpus = () => temporaryFile("corpus.txt", "The film was good. The story was bad. ".repeat(40));

/** A prompt that was tuned on the tiny model, in a new folder. */
async function tuned(): Promise<string> {
  const out = join(temporaryFolder(), "prompt");
  const options = ["--train", TRAIN, "--prompt-tokens", "4", ...few, "--epsilon", "8", "--out", out];
  const { code, stderr } = await softpost("tune", ...inputs, ...options);
  expect(code, stderr).toBe(0);
  return out;
}

describe("a command that trains keeps its state", () => {
  test.each<[string, () => Promise<string[]>]>([
    ["tune", async () => [...inputs, "--train", TRAIN, "--prompt-tokens", "4", ...few]],
    ["tune", async () => [...inputs, "--train", TRAIN, "--prompt-tokens", "4", ...few, "--epsilon", "8"]],
    ["distill", async () => ["--target", MODEL, "--public", corpus(), "--max-length", "8", ...few]],
    [
      "pretrain",
      async () => ["--corpus", corpus(), "--config", join(MODEL, "config.json"), "--max-length", "8", ...few],
    ],
    [
      "transfer",
      async () => ["--target", MODEL, "--student", MODEL, "--prompt", await tuned(), "--public", TRAIN, ...few],
    ],
  ])("%s", async (command, options) => {
    const out = join(temporaryFolder(), "out");
    const stopped = await softpostProcess([command, ...(await options()), "--out", out], 2);
    expect(stopped).toMatchObject({ code: 130, stdout: "" });
    expect(stopped.stderr).toMatch(RESUME);
    expect(existsSync(out)).toBe(false);
  });

  test("and doesn't go on with other columns of the same rows", async () => {
    const rows = '{"a": "The film was good", "b": "The story was bad", "label": 1}\n'.repeat(8);
    const out = join(temporaryFolder(), "out");
    const run = ["tune", ...inputs, "--train", temporaryFile("rows.jsonl", rows), "--prompt-tokens", "4", ...few];
    const reading = (column: string) => [...run, "--out", out, "--text-column", column];
    expect((await softpostProcess(reading("a"), 2)).stderr).toMatch(RESUME);
    const other = await softpost(...reading("b"), "--resume");
    expect(other).toMatchObject({ code: 1, stderr: expect.stringMatching(/of another run.*\n +train: /) });
    expect((await softpost(...reading("a"), "--resume")).code).toBe(0);
  });
});

describe("a command that only reads begins anew", () => {
  test.each<[string, () => string[]]>([
    ["evaluate", () => ["evaluate", "--model", MODEL, ...prompt, ...data()]],
    ["predict", () => ["predict", "--model", MODEL, ...prompt, ...data()]],
    ["export", () => ["export", "--model", MODEL, ...prompt, ...data(), "--format", "vllm", "--out", "OUT"]],
    ["audit one-run", () => ["audit", "one-run", ...audited, "--canaries", "4"]],
    ["audit lira", () => ["audit", "lira", ...audited, "--shadows", "4"]],
    ["audit invariance", () => ["audit", "invariance", ...inputs, "--data", TRAIN, "--prompt-tokens", "2"]],
  ])("%s", async (_, args) => {
    const out = join(temporaryFolder(), "out");
    const stopped = await softpostProcess(
      args().map((arg) => (arg === "OUT" ? out : arg)),
      "1 any",
    );
    expect(stopped, stopped.stderr).toMatchObject({ code: 130, stdout: "" });
    expect(stopped.stderr).toMatch(ANEW);
    expect(existsSync(out)).toBe(false);
  });

  test("tune that measures has its prompt already", async () => {
    const out = join(temporaryFolder(), "out");
    const options = ["--train", TRAIN, ...data("--eval"), "--prompt-tokens", "4", ...few, "--out", out];
    const stopped = await softpostProcess(["tune", ...inputs, ...options], "8 any");
    expect(stopped).toMatchObject({ code: 130, stdout: "" });
    expect(stopped.stderr).toMatch(/Stopped measuring; the prompt is finished: .*softpost evaluate measures it/);
    expect(readdirSync(out)).toContain("adapter_model.safetensors");
  });
});

test("a step that takes too long isn't waited for", async () => {
  const out = join(temporaryFolder(), "out");
  const options = ["--train", TRAIN, "--prompt-tokens", "4", ...few, "--out", out];
  const stopped = await softpostProcess(["tune", ...inputs, ...options], "2 forever");
  expect(stopped).toMatchObject({ code: 130, stdout: "" });
  expect(stopped.stderr).toMatch(
    /Stopped before a step was saved\. The same command with --resume begins it again\.\n$/,
  );
});

/** A provider that answers some requests, and then says no more. */
async function silentProvider(answer: (path: string, response: ServerResponse) => boolean) {
  let silent = () => {};
  const fell = new Promise<void>((resolve) => {
    silent = resolve;
  });
  const server = createServer((request, response) => {
    request.resume();
    if (!answer(request.url!, response)) silent();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, fell };
}

/** Runs a command until the provider says no more, and stops it there. */
async function stopAtSilence(args: string[], provider: { url: string; fell: Promise<void> }): Promise<Finished> {
  const main = fileURLToPath(new URL("../../client/main.ts", import.meta.url));
  const env = { ...process.env, SOFTPOST_URL: provider.url, SOFTPOST_KEY: "key", HF_ENDPOINT: provider.url };
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...env, HF_HOME: temporaryFolder() },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = once(child, "close");
  await Promise.race([provider.fell, closed]);
  child.kill("SIGINT");
  const [code] = await closed;
  return { code, stdout, stderr };
}

const json = (response: ServerResponse, body: unknown): true => {
  response.setHeader("content-type", "application/json").end(JSON.stringify(body));
  return true;
};
const ID = "abcdefghijklmnop";
const TRANSFER = {
  id: ID,
  state: "succeeded",
  version: 1,
  created: "2026-01-01T00:00:00.000Z",
  updated: "2026-01-01T00:00:00.000Z",
  student: "student",
  virtualTokens: 4,
  promptDigest: "0".repeat(64),
  options: { dataset: "mine", publicSet: "public" },
  progress: null,
  losses: [],
  rate: QUOTE.rate,
  estimatedSeconds: 10,
  reserved: QUOTE.reserve,
  cost: { deviceSeconds: 1, micros: 1000 },
  actualSeconds: 1,
  travel: null,
  advice: [],
  problem: null,
  files: FILES,
};

describe("a command that waits for somebody else", () => {
  test("wait stops watching", async () => {
    const provider = await silentProvider((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      return false;
    });
    const stopped = await stopAtSilence(["wait", ID], provider);
    expect(stopped).toMatchObject({ code: 130, stdout: "" });
    expect(stopped.stderr).toBe(`Stopped watching; the transfer goes on. To watch again: softpost wait ${ID}\n`);
  });

  test.each<[string, string[]]>([
    ["students", ["students", "student"]],
    ["download", ["download", ID]],
  ])("%s keeps what came", async (_, args) => {
    const out = join(temporaryFolder(), "out");
    const provider = await silentProvider((path, response) => {
      if (path === "/v1/students") return json(response, { students: [student("0".repeat(64))] });
      if (path === `/v1/transfers/${ID}`) return json(response, TRANSFER);
      response.writeHead(200, { "content-length": 1_000_000 }).write("x".repeat(1000));
      return false;
    });
    const stopped = await stopAtSilence([...args, "--out", out], provider);
    expect(stopped).toMatchObject({ code: 130, stdout: "" });
    expect(stopped.stderr).toMatch(/Stopped\. What came is kept; the same command goes on from there\.\n$/);
    expect(existsSync(out)).toBe(false);
  });

  test("submit says how to send it again and never twice", async () => {
    const out = await tuned();
    const { model } = JSON.parse(readFileSync(join(out, "softpost.json"), "utf8"));
    const provider = await silentProvider((path, response) => {
      if (path === "/v1/students") return json(response, { students: [student(model.digest)] });
      return path === "/v1/quotes" && json(response, QUOTE);
    });
    const args = ["submit", "--prompt", out, "--dataset", "mine", "--public", "public"];
    const stopped = await stopAtSilence(args, provider);
    expect(stopped, stopped.stderr).toMatchObject({ code: 130, stdout: "" });
    expect(stopped.stderr).toMatch(
      /Whether it arrived isn't known: .*never twice: add --idempotency-key [0-9a-f-]{36}\n$/,
    );
  });

  test("a model of the hub that is being downloaded", async () => {
    const provider = await silentProvider(() => false);
    const args = ["evaluate", "--model", "org/name", "--task", fixture("tiny-task/task.json"), ...data()];
    const stopped = await stopAtSilence(args, provider);
    expect(stopped, stopped.stderr).toMatchObject({ code: 130, stdout: "" });
    expect(stopped.stderr).toMatch(
      /Stopped\. What came of the model is kept; the same command goes on from there\.\n$/,
    );
  });
});

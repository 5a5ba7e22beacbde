/** OpenAI's own client against `softpost serve`: a real Worker, a real serving process, a real model and a prompt that was really transferred. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import OpenAI, {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
} from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bucket } from "../../shared/protocol/bucket.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { client, type Served, serve, servingProcess } from "./served.ts";

const SLOW = 480_000;
const TARGET = "tiny-gpt2";
const TEXTS = readFileSync(fixture("tiny-task/test.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line).text as string);

let folder: string;
let provider: Served;
let openai: OpenAI;
/** TARGET:TRANSFER_ID */
let model: string;
const at = (name: string) => join(folder, name);

async function ok(...args: string[]) {
  const { code, stdout, stderr } = await client(["--json", ...args], { url: provider.url, key: provider.key });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

async function transfer(seed: number): Promise<string> {
  const options = ["--prompt", at("prompt"), "--dataset", "set-1", "--public", "test", "--steps", "3"];
  const { id } = await ok("submit", "--no-privacy", ...options, "--seed", String(seed));
  expect(await ok("wait", id)).toMatchObject({ state: "succeeded" });
  return id;
}

/** A key of another tenant, or of this one with other scopes. */
async function newKey(scopes: string[], tenant?: string): Promise<{ tenant: string; key: string }> {
  const headers = { authorization: `Bearer ${provider.result.adminSecret}`, "content-type": "application/json" };
  const post = async (path: string, body: unknown) => {
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    return (await (await fetch(`${provider.url}/v1/admin/tenants${path}`, init)).json()) as { id: string; key: string };
  };
  const limits = { ...(provider.result.limits as object) };
  const id = tenant ?? (await post("", { name: "other", limits })).id;
  return { tenant: id, key: (await post(`/${id}/keys`, { name: "key", scopes })).key };
}

const as = (apiKey: string) => new OpenAI({ baseURL: `${provider.url}/v1`, apiKey, maxRetries: 0 });
const budget = async () => (await ok("budget")).inference;
const settled = () => expect.poll(async () => (await budget()).tokens.reserved, { timeout: 120_000 }).toBe(0);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "softpost-openai-"));
  const few = ["--steps", "3", "--max-length", "12", "--batch-size", "2"];
  const distill = ["--teacher", fixture(TARGET), "--corpus", fixture("tiny-task/train.jsonl"), ...few];
  expect(await softpost("distill", ...distill, "--out", at("student"))).toMatchObject({ code: 0 });
  const models = ["--target", fixture(TARGET), "--student", at("student")];
  provider = await serve(at("provider"), ...models, "--public", fixture("tiny-task/test.jsonl"), "--threads", "1");
  const task = ["--task", fixture("tiny-task/task.json"), "--train", fixture("tiny-task/train.jsonl")];
  const tune = ["--model", at("student"), ...task, "--steps", "3", "--prompt-tokens", "4", "--out", at("prompt")];
  expect(await softpost("tune", ...tune)).toMatchObject({ code: 0 });
  openai = as(provider.key);
  model = `${TARGET}:${await transfer(0)}`;
}, SLOW);

afterAll(async () => {
  await provider?.end("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

test("what softpost serve prints works as it stands", async () => {
  const { curl, openai: snippet } = provider.result.examples as { curl: string; openai: string };
  const { stdout } = await promisify(execFile)("sh", ["-c", `${curl} -sS`]);
  expect(JSON.parse(stdout)).toMatchObject({ object: "text_completion", model: TARGET });
  symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), at("node_modules"));
  writeFileSync(at("snippet.mjs"), snippet);
  const said = await promisify(execFile)(process.execPath, [at("snippet.mjs")]);
  expect(said.stdout.length).toBeGreaterThan(1);
});

describe("models", () => {
  test("are listed and got", async () => {
    const listed = (await openai.models.list()).data;
    expect(listed.map(({ id }) => id)).toEqual([TARGET, model]);
    const got = await openai.models.retrieve(model);
    expect(got).toMatchObject({ id: model, object: "model", owned_by: "tenant", parent: TARGET });
    expect(got.created).toBeGreaterThan(1.7e9);
    expect(got).toMatchObject({ task: { labels: expect.any(Array) }, privacy: null });
  });

  test("of another tenant are not there", async () => {
    const { key } = await newKey(["infer", "read"]);
    expect((await as(key).models.list()).data.map(({ id }) => id)).toEqual([TARGET]);
    await expect(as(key).models.retrieve(model)).rejects.toThrow(NotFoundError);
    const asked = as(key).completions.create({ model, prompt: "x" });
    await expect(asked).rejects.toThrow(NotFoundError);
    await expect(asked).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  });
});

describe("completions", () => {
  const prompt = TEXTS[0]!;

  test("come whole and as a stream, and are the same", async () => {
    const whole = await openai.completions.create({ model, prompt, max_tokens: 8, temperature: 0 });
    expect(whole).toMatchObject({ object: "text_completion", model });
    expect(whole.choices[0]).toMatchObject({ index: 0, finish_reason: "length" });
    expect(whole.usage!.completion_tokens).toBe(8);
    const options = { include_usage: true };
    const request = { model, prompt, max_tokens: 8, temperature: 0, stream: true as const, stream_options: options };
    let text = "";
    let usage: OpenAI.CompletionUsage | undefined;
    for await (const part of await openai.completions.create(request)) {
      text += part.choices[0]?.text ?? "";
      usage = part.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]!.text);
    expect(usage).toEqual(whole.usage);
    await settled();
  });

  test("with an alias are those of the prompt, and count as its own", async () => {
    const headers = { authorization: `Bearer ${provider.key}`, "content-type": "application/json" };
    const body = JSON.stringify({ transfer: model.split(":")[1] });
    await fetch(`${provider.url}/v1/aliases/mine`, { method: "PUT", headers, body });
    const ask = (name: string) => openai.completions.create({ model: name, prompt, max_tokens: 8, temperature: 0 });
    const [own, alias] = [await ask(model), await ask("mine")];
    expect(alias.choices).toEqual(own.choices);
    expect(alias.model).toBe("mine");
    await settled();
    const usage = (await (await fetch(`${provider.url}/v1/usage`, { headers })).json()) as {
      rows: { model: string }[];
    };
    expect(usage.rows.map((row) => row.model)).toEqual([TARGET, model]);
  });

  test("stop where they are told to, and tell log-probabilities", async () => {
    const free = await openai.completions.create({ model, prompt, max_tokens: 8, temperature: 0 });
    const stop = free.choices[0]!.text.slice(3, 6);
    const stopped = await openai.completions.create({
      model,
      prompt,
      max_tokens: 8,
      temperature: 0,
      stop,
      logprobs: 3,
    });
    expect(stopped.choices[0]!.finish_reason).toBe("stop");
    expect(free.choices[0]!.text.startsWith(stopped.choices[0]!.text)).toBe(true);
    expect(stopped.choices[0]!.text).not.toContain(stop);
    const { token_logprobs, top_logprobs, tokens } = stopped.choices[0]!.logprobs!;
    expect(tokens!.length).toBe(token_logprobs!.length);
    for (const [i, value] of token_logprobs!.entries()) {
      expect(value).toBeLessThanOrEqual(0);
      expect(Object.keys(top_logprobs![i]!).length).toBeLessThanOrEqual(4);
    }
  });

  test("of several prompts and token ids come in order", async () => {
    const many = await openai.completions.create({ model, prompt: TEXTS.slice(0, 3), n: 2, max_tokens: 3, seed: 7 });
    expect(many.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const ids = await openai.completions.create({ model, prompt: [5, 6, 7], max_tokens: 2 });
    expect(ids.usage!.prompt_tokens).toBe(3);
  });

  test("that are aborted stop, and cost what was made", async () => {
    await settled();
    const before = await budget();
    const stream = await openai.completions.create({ model, prompt, max_tokens: 20, n: 8, stream: true });
    for await (const _ of stream) {
      stream.controller.abort();
      break;
    }
    await settled();
    const used = (await budget()).tokens.used - before.tokens.used;
    expect(used).toBeGreaterThan(0);
    const stop = new AbortController();
    const asked = openai.completions.create({ model, prompt, max_tokens: 20 }, { signal: stop.signal });
    stop.abort();
    await expect(asked).rejects.toThrow(APIUserAbortError);
    await settled();
  });
});

describe("errors", () => {
  test("have the classes of OpenAI's client", async () => {
    const ask = (who: OpenAI, more: object = {}) => who.completions.create({ model: TARGET, prompt: "x", ...more });
    await expect(ask(as("sp_wrong"))).rejects.toThrow(AuthenticationError);
    const { key } = await newKey(["read"]);
    await expect(ask(as(key))).rejects.toThrow(PermissionDeniedError);
    await expect(ask(openai, { model: "nothing" })).rejects.toThrow(NotFoundError);
    const unsupported = ask(openai, { best_of: 3 });
    await expect(unsupported).rejects.toThrow(BadRequestError);
    await expect(unsupported).rejects.toMatchObject({ param: "best_of", type: "invalid_request_error" });
    await expect(ask(openai, { max_tokens: 8000 })).rejects.toThrow(BadRequestError);
    const chat = openai.chat.completions.create({ model: TARGET, messages: [{ role: "user", content: "x" }] });
    await expect(chat).rejects.toThrow(BadRequestError);
    const { tenant, key: poor } = await newKey(["infer"]);
    await setTokens(tenant, 3);
    const refused = ask(as(poor));
    await expect(refused).rejects.toThrow(APIError);
    await expect(refused).rejects.toMatchObject({ status: 402, code: "insufficient_quota" });
  });

  async function setTokens(tenant: string, tokens: number): Promise<void> {
    await fetch(`${provider.url}/v1/admin/tenants/${tenant}/limits`, {
      method: "PUT",
      headers: { authorization: `Bearer ${provider.result.adminSecret}`, "content-type": "application/json" },
      body: JSON.stringify({ ...(provider.result.limits as object), tokens }),
    });
  }
});

test("labels are those of softpost predict with the downloaded prompt", async () => {
  const [, id] = model.split(":");
  await ok("download", id!, "--out", at("moved"));
  const data = ["--model", fixture(TARGET), "--prompt", at("moved"), "--data", fixture("tiny-task/test.jsonl")];
  const { stdout } = await softpost("predict", ...data);
  const wanted = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const answer = await openai.post<{ data: { index: number; label: string; probabilities: Record<string, number> }[] }>(
    "/classify",
    { body: { model, input: TEXTS } },
  );
  expect(answer.data).toHaveLength(wanted.length);
  for (const [i, { index, label, probabilities }] of answer.data.entries()) {
    expect([index, label]).toEqual([i, wanted[i].label]);
    for (const [name, p] of Object.entries(probabilities)) {
      expect(Math.abs(p - wanted[i].probabilities[name])).toBeLessThan(1e-6);
    }
  }
});

test("a job of the provider's predicts what softpost predict does; its texts go, and another tenant sees nothing of it", async () => {
  const data = ["--data", fixture("tiny-task/test.jsonl")];
  const here = await softpost("predict", "--model", fixture(TARGET), "--prompt", at("moved"), ...data);
  const { url, key } = provider;
  const remote = ["predict", "--remote", "--model", model, ...data, "--idempotency-key", "once"];
  for (const _ of ["the job", "its answers again"]) {
    const { code, stdout, stderr } = await client(remote, { url, key });
    expect(code, stderr).toBe(0);
    expect(stdout).toBe(here.stdout);
  }
  const get = async (path: string, bearer = key) => {
    const answer = await fetch(`${url}/v1/predictions${path}`, { headers: { authorization: `Bearer ${bearer}` } });
    return { status: answer.status, body: JSON.parse((await answer.text()) || "null") };
  };
  const [{ id, state, cost, ...rest }, ...more] = (await get("")).body.predictions;
  expect(more).toEqual([]);
  expect({ state, model: rest.model }).toEqual({ state: "succeeded", model });
  expect(cost.micros).toBeGreaterThan(0);
  const tenant = key.split("_")[1];
  const stored = await provider.store.list(bucket.job(`${tenant}-${id}`));
  expect(stored.some((name) => name.endsWith("spec.json"))).toBe(true);
  expect(stored.filter((name) => name.endsWith("texts.jsonl"))).toEqual([]);
  const other = (await newKey(["infer"])).key;
  expect((await get("", other)).body.predictions).toEqual([]);
  for (const path of [`/${id}`, `/${id}/events`, `/${id}/files/predictions.jsonl`]) {
    expect((await get(path, other)).status).toBe(404);
  }
  // It is no transfer, and no model.
  const transfers = (await ok("status")).transfers as { id: string }[];
  expect(transfers.map((each) => each.id)).not.toContain(id);
  expect((await ok("models")).models.map((each: { id: string }) => each.id)).not.toContain(`${TARGET}:${id}`);
});

test("a prompt that is damaged in the bucket is said to be, and costs nothing", async () => {
  const id = await transfer(1);
  const tenant = provider.key.split("_")[1];
  const [key] = (await provider.store.list(bucket.job(`${tenant}-${id}`))).filter((each) =>
    /output\/.*adapter_model/.test(each),
  );
  await provider.store.write(key!, "damaged");
  await settled();
  const before = await budget();
  const asked = openai.completions.create({ model: `${TARGET}:${id}`, prompt: "x" }, { maxRetries: 0 });
  await expect(asked).rejects.toThrow(InternalServerError);
  await settled();
  expect((await budget()).tokens).toEqual(before.tokens);
});

test("more requests than the queue has room for are told to come again, and cost nothing", async () => {
  await settled();
  const before = await budget();
  const answers = await Promise.all(
    Array.from({ length: 60 }, async () => {
      const request = { model, prompt: TEXTS[0]!, max_tokens: 16, n: 8 };
      return openai.completions.create(request, { maxRetries: 0 }).catch((error: APIError) => error);
    }),
  );
  const refused = answers.filter((answer) => answer instanceof APIError);
  expect(refused.length).toBeGreaterThan(0);
  for (const { status, headers } of refused) {
    expect(status).toBe(503);
    expect(Number(headers!.get("retry-after"))).toBeGreaterThan(0);
  }
  await settled();
  const used = answers.reduce((sum, each) => sum + (each instanceof APIError ? 0 : each.usage!.total_tokens), 0);
  expect((await budget()).tokens.used - before.tokens.used).toBe(used);
});

test(
  "a serving process that is killed in the middle of 20 streams is started again, and the ledger is exact",
  async () => {
    await settled();
    const killed = servingProcess(provider)!;
    const streams = Array.from({ length: 20 }, async (_, i) => {
      const request = { model: i % 2 ? model : TARGET, prompt: TEXTS[0]!, max_tokens: 40, stream: true as const };
      for await (const _ of await openai.completions.create(request, { maxRetries: 0 })) {
        process.kill(killed, "SIGKILL");
      }
    });
    const ends = await Promise.allSettled(streams);
    expect(ends.filter(({ status }) => status === "rejected").length).toBeGreaterThan(0);
    await expect
      .poll(
        () =>
          openai.completions.create({ model, prompt: "x" }).then(
            () => true,
            () => false,
          ),
        {
          timeout: 120_000,
          interval: 500,
        },
      )
      .toBe(true);
    expect(servingProcess(provider)).not.toBe(killed);
    await settled();
  },
  SLOW,
);

test("a revoked key stops the next request", async () => {
  const { tenant, key } = await newKey(["infer"], provider.key.split("_")[1]);
  expect((await as(key).models.list()).data.length).toBeGreaterThan(1);
  const id = key.split("_")[2];
  await fetch(`${provider.url}/v1/admin/tenants/${tenant}/keys/${id}`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${provider.result.adminSecret}` },
  });
  await expect(as(key).completions.create({ model: TARGET, prompt: "x" })).rejects.toThrow(AuthenticationError);
});

test("no text that was sent, and no answer, is anywhere at the provider afterwards", async () => {
  const canary = "xylophone-canary-4711";
  const planted = `${canary} Grandmother hid the emerald`;
  const ask = (more: object) => openai.completions.create({ model, prompt: planted, max_tokens: 12, ...more });
  const answered = await ask({ temperature: 2, n: 16, user: canary });
  await openai.post("/classify", { body: { model, input: planted } });
  writeFileSync(at("planted.jsonl"), JSON.stringify({ text: planted }));
  await ok("predict", "--remote", "--model", model, "--data", at("planted.jsonl"));
  const wrong = [
    ask({ model: canary }),
    ask({ [canary]: planted }),
    ask({ prompt: planted.repeat(500) }),
    ask({ stop: planted.repeat(9) }),
    openai.chat.completions.create({ model, messages: [{ role: "user", content: planted }] }),
    openai.post("/classify", { body: { model: TARGET, input: planted } }),
  ];
  for (const outcome of await Promise.allSettled(wrong)) {
    expect(outcome.status).toBe("rejected");
    expect(String((outcome as PromiseRejectedResult).reason)).not.toContain("emerald");
  }
  await settled();
  const listening = readFileSync(join(provider.folder, "serving", `${TARGET}.log`), "utf8").match(/"url":"([^"]+)"/g);
  const { url } = JSON.parse(`{${listening!.at(-1)}}`);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain("softpost_tokens_total");
  await provider.end("SIGTERM");
  const files = readdirSync(provider.folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  const stored = files.map(({ parentPath, name }) => ({ name, bytes: readFileSync(join(parentPath, name)) }));
  stored.push({ name: "metrics", bytes: Buffer.from(metrics) });
  expect(stored.some(({ name }) => name === "worker.log")).toBe(true);
  expect(stored.some(({ name }) => name.endsWith(".sqlite"))).toBe(true);
  const text = answered.choices.map((choice) => choice.text).reduce((a, b) => (b.length > a.length ? b : a));
  expect(text.length).toBeGreaterThan(14);
  const texts = [canary, "hid the emerald", text];
  const forms = texts.flatMap((each) => [
    Buffer.from(each),
    Buffer.from(each, "utf16le"),
    Buffer.from(JSON.stringify(each).slice(1, -1)),
    Buffer.from(Buffer.from(each).toString("hex")),
    ...[0, 1, 2].map((cut) => Buffer.from(Buffer.from(each).subarray(cut).toString("base64").slice(4, -4))),
  ]);
  const found = stored.filter(({ bytes }) => forms.some((form) => bytes.includes(form))).map(({ name }) => name);
  expect(found).toEqual([]);
});

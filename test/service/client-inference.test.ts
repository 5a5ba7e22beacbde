/** The command line against models at the provider, with a double of the serving process at the wire. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { Client } from "../../library/client.ts";
import { checkTransfer, loadPrompt, openModel, type TrainingEvent } from "../../library/index.ts";
import { hashModel } from "../../shared/data/model-files.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import { fixture } from "../helpers/fixtures.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { catalogue, type Provider, startProvider, type TenantClient } from "./provider.ts";
import { client } from "./served.ts";
import { type Double, startDouble } from "./serving-double.ts";
import { transferred } from "./transferred.ts";

const MAIN = fileURLToPath(new URL("../../client/main.ts", import.meta.url));

let double: Double;
let provider: Provider;
let tenant: TenantClient;
let model: string;
const run = (...args: string[]) => client(args, { url: provider.url, key: tenant.key });

beforeAll(async () => {
  double = await startDouble();
  provider = await startProvider(await loadBundle(), undefined, {
    SERVING_URLS: JSON.stringify({ large: double.url }),
  });
  double.reportUrl = provider.url;
  tenant = await provider.tenant();
  model = `large:${(await transferred(provider, tenant, 1)).id}`;
});

afterAll(async () => {
  await provider.close();
  await double.close();
});

beforeEach(() => {
  Object.assign(double, { tokens: 3, pauseMs: 0, refuse: undefined, refuseAfter: undefined });
  double.seen.length = 0;
});

test("models are listed with what they are for", async () => {
  const { code, stdout } = await run("models");
  expect(code).toBe(0);
  expect(stdout).toBe(
    `large: the provider's model, without a prompt\n${model}: mood, answers labels bad, good; not private\n`,
  );
});

test("a completion is printed as it comes, from an argument or standard input", async () => {
  const { code, stdout } = await run("complete", "--model", model, "--max-tokens", "9", "--stop", "x", "--", "Hello");
  expect([code, stdout]).toEqual([0, " t1 t2 t3\n"]);
  expect(JSON.parse(double.seen[0]!.body)).toEqual({
    model,
    prompt: "Hello",
    max_tokens: 9,
    stop: ["x"],
    stream: true,
  });
  const json = await run("--json", "complete", "Hello", "--model", "large");
  expect(JSON.parse(json.stdout)).toEqual({ text: " t1 t2 t3", finish: "length" });
  double.refuse = 404;
  const refused = await run("complete", "Hello", "--model", "large");
  expect([refused.code, refused.stderr]).toEqual([1, "The request failed: No.\n"]);
});

test("Ctrl-C stops a completion at the provider", async () => {
  Object.assign(double, { tokens: 10_000, pauseMs: 20 });
  const args = [MAIN, "complete", "Hello", "--model", "large", "--max-tokens", "5000"];
  const env = { ...process.env, SOFTPOST_URL: provider.url, SOFTPOST_KEY: tenant.key };
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], env });
  const ended = new Promise((resolve) => child.once("close", resolve));
  await new Promise((resolve) => child.stdout.once("data", resolve));
  child.kill("SIGINT");
  expect(await ended).toBe(130);
  const { request } = double.seen[0]!.ticket;
  await expect.poll(() => double.ended.get(request) ?? 10_000, { timeout: 120_000 }).toBeLessThan(5000);
});

test("texts are labelled from an argument and from a file, which goes on where it was cut off", async () => {
  const one = await run("classify", "text 1", "--model", model);
  expect(JSON.parse(one.stdout)).toEqual({ label: "text 1", probabilities: { "text 1": 1 } });
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  const texts = Array.from({ length: 150 }, (_, i) => `text ${i}`);
  writeFileSync(at("in.jsonl"), texts.map((text) => JSON.stringify({ text })).join("\n"));
  const args = ["classify", "--model", model, "--data", at("in.jsonl"), "--out", at("out.jsonl")];
  double.refuseAfter = double.seen.length + 1;
  double.refuse = 400;
  expect((await run(...args)).code).toBe(1);
  expect(existsSync(at("out.jsonl"))).toBe(false);
  expect((await run(...args)).stderr).toContain("Go on with --resume");
  const partial = at(".out.jsonl.unfinished");
  // A row that was being written when the machine went down.
  writeFileSync(partial, `${readFileSync(partial, "utf8")}{"label":"te`);
  Object.assign(double, { refuse: undefined, refuseAfter: undefined });
  double.seen.length = 0;
  const { code, stderr } = await run(...args, "--resume");
  expect(code, stderr).toBe(0);
  expect(JSON.parse(double.seen[0]!.body).input[0]).toBe("text 64");
  const rows = readFileSync(at("out.jsonl"), "utf8").trimEnd().split("\n");
  expect(rows.map((row) => JSON.parse(row).label)).toEqual(texts);
  expect(existsSync(partial)).toBe(false);
  expect((await run(...args)).stderr).toContain("is there already");
});

test("an unfinished file of other texts isn't gone on with", async () => {
  const folder = temporaryFolder();
  const [data, out] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
  writeFileSync(data, '{"text":"one"}\n');
  double.refuse = 400;
  const args = ["classify", "--model", model, "--data", data, "--out", out];
  expect((await run(...args)).code).toBe(1);
  writeFileSync(data, '{"text":"two"}\n');
  double.refuse = undefined;
  expect((await run(...args, "--resume")).stderr).toContain("is of other texts or another model");
});

test("tokens are in the budget and in a quote", async () => {
  const { stdout } = await run("budget");
  expect(stdout).toMatch(/^tokens of models +\d+ +\d+ +\d+$/m);
  expect(stdout).toMatch(/models took [\d.]+ USD: a million tokens of texts cost 0\.50 USD, of answers 1\.50 USD/);
});

test("quote and submit tell before anything is paid if the target does as well without a prompt, and sends no private row for it", async () => {
  const [folder, small] = [temporaryFolder(), fixture("tiny-gpt2")];
  const at = (name: string) => join(folder, name);
  const student = { ...catalogue.students[0]!, id: "tiny", dimension: 32, digest: (await hashModel(small)).digest };
  await provider.store.write(bucket.catalogue, JSON.stringify({ ...catalogue, students: [student] }));
  const train = fixture("tiny-task/train.jsonl");
  const privately = ["--epsilon", "8", "--delta", "0.01", "--steps", "2", "--batch-size", "4", "--prompt-tokens", "4"];
  const task = ["--task", fixture("tiny-task/task.json")];
  const tuned = await run("tune", "--model", small, ...task, "--train", train, ...privately, "--out", at("prompt"));
  expect(tuned.code, tuned.stderr).toBe(0);
  const quote = (data: string, ...more: string[]) => {
    const what = ["--prompt", at("prompt"), "--dataset", "films", "--public", "news"];
    return run(...more, "quote", ...what, "--model", small, "--check", data);
  };
  // The double says of a text that it is its label.
  const rows = (texts: readonly string[]) => texts.map((text, i) => JSON.stringify({ text, label: i % 2 })).join("\n");
  writeFileSync(at("good.jsonl"), rows(["negative", "positive"]));
  writeFileSync(at("bad.jsonl"), rows(["positive", "negative", "positive", "negative"]));
  const good = await quote(at("good.jsonl"));
  expect(good.code, good.stderr).toBe(0);
  expect(good.stdout).toMatch(/On 2 rows: your prompt on the student [\d.]+%?.*, the target without a prompt 100/);
  expect(good.stdout).toContain("WARNING: the target does as well without a prompt");
  expect(JSON.parse(double.seen.at(-1)!.body)).toMatchObject({ model: "large", input: ["negative", "positive"] });
  const submit = (data: string, ...more: string[]) => {
    const what = ["--prompt", at("prompt"), "--dataset", "films", "--public", "news", "--model", small];
    return run("submit", ...what, "--check", data, ...more);
  };
  const transfers = async () => (await tenant.get("/v1/transfers")).body.transfers.length;
  const before = await transfers();
  const warned = await submit(at("good.jsonl"));
  expect([warned.code, warned.stderr]).toEqual([1, expect.stringMatching(/WARNING: the target does as .*--no-gain/s)]);
  expect(await transfers()).toBe(before);
  const sent = await submit(at("good.jsonl"), "--no-gain", "--json");
  expect(sent.stderr).toContain("WARNING: the target does as well");
  expect(JSON.parse(sent.stdout)).toMatchObject({ id: expect.any(String), check: { target: 1, mayPay: false } });
  expect(await transfers()).toBe(before + 1);

  const opened = await openModel(small);
  const prompt = await loadPrompt(at("prompt"), opened);
  const asked = { client: new Client({ url: provider.url, key: tenant.key }), model: opened, prompt, threads: 1 };
  const events: TrainingEvent[] = [];
  const found = await checkTransfer({ ...asked, data: at("bad.jsonl") }, { onEvent: (event) => events.push(event) });
  expect(found).toMatchObject({ examples: 4, target: 0, mayPay: true });
  expect(events).toContainEqual({ kind: "note", text: expect.stringContaining("which the provider sees") });
  await expect(checkTransfer({ ...asked, data: at("bad.jsonl") }, { signal: AbortSignal.abort() })).rejects.toThrow();

  double.seen.length = 0;
  const one = readFileSync(train, "utf8").split("\n")[0]!;
  writeFileSync(at("mixed.jsonl"), `${one}\n${rows(["negative"])}`);
  for (const { code, stderr } of [await quote(train), await submit(at("mixed.jsonl"), "--no-gain")]) {
    expect([code, stderr]).toEqual([1, expect.stringContaining("are private")]);
  }
  expect(await transfers()).toBe(before + 1);
  expect(double.seen).toEqual([]);
});

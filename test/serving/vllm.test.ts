/** The vLLM backend against a door that speaks as vLLM's /v1/completions does; that torch reads the bytes is in test/client/golden. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { torchFile } from "../../shared/data/torch-file.ts";
import { openCheckpoint } from "../../shared/models/checkpoint.ts";
import { readWeight } from "../../shared/models/weights.ts";
import { goldenTensors } from "../helpers/golden.ts";
import { type Provider, startProvider } from "../service/provider.ts";
import { GO_ON, goldenModel, goldenOf } from "./models.ts";
import {
  eventsOf,
  type Ledger,
  type PromptRef,
  type Serving,
  startLedger,
  startServing,
  storePrompt,
} from "./process.ts";

type Answer = (body: Record<string, unknown>, response: ServerResponse, request: IncomingMessage) => void;

let provider: Provider;
let ledger: Ledger;
let serving: Serving;
let prompt: PromptRef;
let model: string;
let answer: Answer;
let asked: Record<string, unknown>[] = [];

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = JSON.parse(Buffer.concat(chunks).toString());
  asked.push(body);
  expect([request.method, request.url]).toEqual(["POST", "/v1/completions"]);
  answer(body, response, request);
});

const event = (value: unknown) => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
const chunk = (index: number, text: string, tokens: number, finish: string | null = null, more: object = {}) => ({
  id: "cmpl-vllm",
  object: "text_completion",
  model: "served",
  choices: [{ index, text, logprobs: null, finish_reason: finish, stop_reason: null, ...more }],
  usage: { prompt_tokens: 7, completion_tokens: tokens, total_tokens: 7 + tokens },
});
const total = (tokens: number) => ({
  choices: [],
  usage: { prompt_tokens: 7, completion_tokens: tokens, total_tokens: 7 + tokens },
});

/** What vLLM says, cut where it hurts. */
function says(...events: unknown[]): Answer {
  return (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const text = events.map(event).join("");
    const middle = Math.floor(text.length / 2) + 1;
    response.write(text.slice(0, middle));
    setTimeout(() => response.end(text.slice(middle)), 20);
  };
}

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  provider = await startProvider(await loadBundle());
  ledger = await startLedger();
  model = goldenModel(join(provider.folder, "model"), "gpt2");
  const tensor = goldenTensors(goldenOf("gpt2"));
  prompt = await storePrompt(provider, model, "golden", tensor("prompt"), GO_ON);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const env = { SERVING_BACKEND: "vllm", VLLM_URL: url, VLLM_MODEL: "served" };
  serving = await startServing({ provider, ledger, model, state: join(provider.folder, "state"), env });
});
afterAll(async () => {
  await serving.stop();
  await ledger.close();
  await provider.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(() => {
  asked = [];
});

const body = { model: "m", prompt: [5, 6, 7], max_tokens: 4, temperature: 0 };

test("it is asked with the prompt's rows and the tokens' embeddings, as torch.load reads them", async () => {
  answer = says(chunk(0, " t8", 1), chunk(0, " t9", 2, "length"), total(2), "[DONE]");
  const sent = { ...body, stop: "x", seed: 3, top_p: 0.5, temperature: 0.7, logprobs: 2 };
  expect((await serving.json("completions", sent, { prompt })).status).toBe(200);
  const table = await readWeight(await openCheckpoint(model), "transformer.wte.weight");
  const { shape, data } = goldenTensors(goldenOf("gpt2"))("prompt");
  const [P, D] = shape as [number, number];
  const rows = [5, 6, 7].flatMap((id) => [...table.subarray(id * D, (id + 1) * D)]);
  const file = torchFile(Float32Array.from([...data, ...rows]), P + 3, D);
  expect(asked).toEqual([
    {
      model: "served",
      prompt_embeds: Buffer.from(file).toString("base64"),
      max_tokens: 4,
      n: 1,
      temperature: 0.7,
      top_p: 0.5,
      seed: 3,
      stop: ["x"],
      logprobs: 2,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    },
  ]);
  asked = [];
  answer = says(chunk(0, " t8", 1, "stop"), total(1), "[DONE]");
  await serving.json("completions", body);
  const bare = torchFile(Float32Array.from(rows), 3, D);
  expect(asked[0]!.prompt_embeds).toBe(Buffer.from(bare).toString("base64"));
});

test("its answers come through, whole and in a stream, with its counts", async () => {
  answer = says(
    chunk(0, " t8", 1),
    chunk(1, " t7", 1),
    chunk(0, "", 2, "stop"),
    chunk(1, " t9", 2, "length"),
    total(4),
    "[DONE]",
  );
  const { body: whole, request } = await serving.json("completions", { ...body, n: 2 }, { prompt });
  expect(whole.choices).toMatchObject([
    { index: 0, text: " t8", finish_reason: "stop" },
    { index: 1, text: " t7 t9", finish_reason: "length" },
  ]);
  expect(whole.usage).toEqual({ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
  await vi.waitFor(() => expect(ledger.recordOf(request)).toMatchObject({ promptTokens: 3, completionTokens: 4 }));
  const { events, isDone } = await eventsOf(
    (await serving.post("completions", { ...body, n: 2, stream: true }, { prompt })).response,
  );
  expect(isDone).toBe(true);
  expect(events.map(({ model, choices: [{ index, text }] }) => [model, index, text])).toEqual([
    ["tiny:prompt", 0, " t8"],
    ["tiny:prompt", 1, " t7"],
    ["tiny:prompt", 0, ""],
    ["tiny:prompt", 1, " t9"],
  ]);
});

test("its log-probabilities are OpenAI's: without the token that it adds", async () => {
  const logprobs = {
    tokens: [" t8"],
    token_logprobs: [-2],
    top_logprobs: [{ " t8": -2, " t1": -0.5, " t2": -1 }],
    text_offset: [0],
  };
  answer = says(chunk(0, " t8", 1, "length", { logprobs }), total(1), "[DONE]");
  const { body: whole } = await serving.json("completions", { ...body, logprobs: 2 });
  expect(whole.choices[0].logprobs).toEqual({ ...logprobs, top_logprobs: [{ " t1": -0.5, " t2": -1 }] });
});

test.each<[number, number]>([
  [400, 400],
  [404, 500],
  [401, 500],
  [429, 503],
  [500, 503],
])("its refusal %i is %i to the client, quotes nothing, and is not sent again", async (from, to) => {
  answer = (_, response) => response.writeHead(from).end(JSON.stringify({ error: { message: "canary", code: from } }));
  const { status, body: refused, headers, request } = await serving.json("completions", body, { prompt });
  expect(status).toBe(to);
  expect(refused.error.message).not.toContain("canary");
  expect(headers.get("retry-after")).toBe(to === 503 ? "2" : null);
  expect(asked).toHaveLength(1);
  await vi.waitFor(() => expect(ledger.recordOf(request)).toMatchObject({ completionTokens: 0 }));
  expect(serving.output.text).not.toContain("canary");
});

test.each<[string, unknown[]]>([
  ["breaks off", [chunk(0, " t8", 1)]],
  ["says an error", [chunk(0, " t8", 1), { error: { message: "canary", code: 500 } }, "[DONE]"]],
  ["gives the answer up", [chunk(0, " t8", 1), chunk(0, "", 1, "abort"), "[DONE]"]],
])("where it %s in the middle, a stream ends with an error, and what was made is charged", async (_, events) => {
  answer = says(...events);
  const { response, request } = await serving.post("completions", { ...body, stream: true }, { prompt });
  const got = await eventsOf(response);
  expect(got.isDone).toBe(false);
  expect(got.events.at(-1)).toMatchObject({ error: { type: "server_error" } });
  expect(JSON.stringify(got.events)).not.toContain("canary");
  await vi.waitFor(() => expect(ledger.recordOf(request)).toMatchObject({ completionTokens: 1 }));
  expect((await serving.json("completions", body, { prompt })).status).toBe(503);
});

test("who hangs up ends vLLM's request too, and is charged for what it had made", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  answer = (_, response) => {
    response.on("close", resolve);
    response.writeHead(200).write(event(chunk(0, " t8 t9", 2)));
  };
  const { response, request } = await serving.post("completions", { ...body, stream: true }, { prompt });
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  await promise;
  await vi.waitFor(() => expect(ledger.recordOf(request)).toMatchObject({ promptTokens: 3, completionTokens: 2 }));
});

test("it classifies nothing", async () => {
  const { status, body: refused } = await serving.json("classify", { model: "m", input: "t1" }, { prompt });
  expect([status, refused.error.message]).toEqual([400, expect.stringContaining("can't be classified here")]);
});

test("where it can't be reached, the client is told to come again", async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  const { status, headers } = await serving.json("completions", body, { prompt });
  expect([status, headers.get("retry-after")]).toEqual([503, "2"]);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

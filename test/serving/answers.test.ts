/** Answers of a serving process, against PEFT's generate (test/shared/training/golden/make_generation.py). */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
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

const NEW = 32;
const CHAT = "{% for m in messages %}{{ m.content }} {% endfor %}{% if add_generation_prompt %}t1{% endif %}";

const tensor = goldenTensors(goldenOf("gpt2"));
const [B, T] = tensor("ids").shape as [number, number];
const texts = Array.from({ length: B }, (_, row) => [
  ...tensor("ids").data.subarray(row * T, row * T + tensor("starts").data[row]!),
]);
/** PEFT goes on behind the end token, which is 0. */
function wanted(of: "decoded" | "bare", row: number): number[] {
  const ids = [...tensor(of).data.subarray(row * NEW, (row + 1) * NEW)];
  return ids.includes(0) ? ids.slice(0, ids.indexOf(0)) : ids;
}
const said = (ids: readonly number[]) => ids.map((id) => ` t${id}`).join("");
const idsIn = (text: string) =>
  text
    .trim()
    .split(" ")
    .filter(Boolean)
    .map((word) => Number(word.slice(1)));

let provider: Provider;
let ledger: Ledger;
let serving: Serving;
let prompt: PromptRef;
let model: string;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  ledger = await startLedger();
  model = goldenModel(join(provider.folder, "model"), "gpt2", { chat_template: CHAT });
  prompt = await storePrompt(provider, model, "golden", tensor("prompt"), GO_ON);
  serving = await startServing({
    provider,
    ledger,
    model,
    state: join(provider.folder, "state"),
    env: { SERVING_SLOTS: "5", SERVING_QUEUE: "60" },
  });
});
afterAll(async () => {
  await serving.stop();
  await ledger.close();
  await provider.close();
  expect(ledger.faults).toEqual([]);
});

const greedy = { model: "m", temperature: 0, max_tokens: NEW };

describe("greedy answers are PEFT's", () => {
  test.each(texts.map((_, row) => row))("text %i alone, with the prompt and without", async (row) => {
    const body = { ...greedy, prompt: texts[row]! };
    const withPrompt = await serving.json("completions", body, { prompt });
    expect(withPrompt.status, JSON.stringify(withPrompt.body)).toBe(200);
    expect(withPrompt.body.choices[0].text).toBe(said(wanted("decoded", row)));
    const bare = await serving.json("completions", body);
    expect(bare.body.choices[0].text).toBe(said(wanted("bare", row)));
  });

  test("in a batch of 8 requests and more that come and go", async () => {
    const requests = Array.from({ length: 24 }, (_, i) => ({
      row: i % B,
      of: i % 3 === 0 ? ("bare" as const) : ("decoded" as const),
    }));
    const answers = await Promise.all(
      requests.map(async ({ row, of }, i) => {
        await new Promise((resolve) => setTimeout(resolve, 15 * i));
        const change = of === "bare" ? {} : { prompt };
        // As text, too: the tokenizer's words are its tokens. Others leave early.
        const given = i % 2 === 0 ? texts[row]! : said(texts[row]!).trim();
        const { body } = await serving.json(
          "completions",
          { ...greedy, prompt: given, max_tokens: i % 5 === 0 ? 3 : NEW },
          change,
        );
        return body.choices[0].text;
      }),
    );
    expect(answers).toEqual(requests.map(({ row, of }, i) => said(wanted(of, row).slice(0, i % 5 === 0 ? 3 : NEW))));
  });

  test("several texts, and several choices of each, in one request", async () => {
    const { body } = await serving.json("completions", { ...greedy, prompt: texts, n: 2 }, { prompt });
    expect(body.choices.map(({ index }: { index: number }) => index)).toEqual(
      texts.flatMap((_, i) => [2 * i, 2 * i + 1]),
    );
    expect(body.choices.map(({ text }: { text: string }) => text)).toEqual(
      texts.flatMap((_, row) => [said(wanted("decoded", row)), said(wanted("decoded", row))]),
    );
  });

  test("more choices than there are rows", async () => {
    const { body } = await serving.json("completions", { ...greedy, prompt: texts[0], n: 12 }, { prompt });
    expect(new Set(body.choices.map(({ text }: { text: string }) => text))).toEqual(
      new Set([said(wanted("decoded", 0))]),
    );
  });
});

describe("the form is OpenAI's", () => {
  test("of an answer, with its usage, which is reported", async () => {
    const { body, request } = await serving.json(
      "completions",
      { ...greedy, prompt: texts[0], max_tokens: 3 },
      { prompt },
    );
    const usage = { prompt_tokens: texts[0]!.length, completion_tokens: 3, total_tokens: texts[0]!.length + 3 };
    expect(body).toEqual({
      id: "cmpl-1",
      object: "text_completion",
      created: expect.any(Number),
      model: "tiny:prompt",
      choices: [{ index: 0, text: said(wanted("decoded", 0).slice(0, 3)), logprobs: null, finish_reason: "length" }],
      usage,
    });
    await vi.waitFor(() =>
      expect(ledger.recordOf(request)).toEqual({
        request,
        tenant: "aaaabbbbccccdddd",
        promptTokens: texts[0]!.length,
        completionTokens: 3,
      }),
    );
  });

  test("of a stream: pieces make the answer, usage comes last, then [DONE]", async () => {
    const body = {
      ...greedy,
      prompt: texts.slice(0, 2),
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 6,
    };
    const { response } = await serving.post("completions", body, { prompt });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const { events, isDone } = await eventsOf(response);
    expect(isDone).toBe(true);
    const last = events.pop();
    expect(last).toMatchObject({ choices: [], usage: { completion_tokens: 12 } });
    for (const event of events) expect(event).toMatchObject({ id: "cmpl-1", object: "text_completion", usage: null });
    for (const row of [0, 1]) {
      const own = events.flatMap(({ choices }) => choices).filter(({ index }) => index === row);
      expect(own.map(({ text }) => text).join("")).toBe(said(wanted("decoded", row).slice(0, 6)));
      expect(own.at(-1).finish_reason).toBe("length");
      expect(own.slice(0, -1).every(({ finish_reason }) => finish_reason === null)).toBe(true);
    }
  });

  test("of log-probabilities, whose tokens are the answer's and whose likeliest is the greedy one", async () => {
    const { body } = await serving.json(
      "completions",
      { ...greedy, prompt: texts[0], max_tokens: 4, logprobs: 2 },
      { prompt },
    );
    const { tokens, token_logprobs, top_logprobs, text_offset } = body.choices[0].logprobs;
    expect(tokens.join("")).toBe(body.choices[0].text);
    expect(text_offset).toEqual(tokens.map((_: string, i: number) => tokens.slice(0, i).join("").length));
    for (const [i, top] of top_logprobs.entries()) {
      expect(Object.keys(top)).toHaveLength(2);
      expect(top[tokens[i]]).toBe(token_logprobs[i]);
      expect(Math.max(...(Object.values(top) as number[]))).toBe(token_logprobs[i]);
    }
    const { body: all } = await serving.json(
      "completions",
      { ...greedy, prompt: texts[0], max_tokens: 4, logprobs: 0 },
      { prompt },
    );
    expect(all.choices[0].logprobs.token_logprobs).toEqual(token_logprobs);
    const { events } = await eventsOf(
      (
        await serving.post(
          "completions",
          { ...greedy, prompt: texts[0], max_tokens: 4, logprobs: 0, stream: true },
          { prompt },
        )
      ).response,
    );
    expect(events.flatMap(({ choices }) => choices[0].logprobs.token_logprobs)).toEqual(token_logprobs);
  });

  test("an answer ends before a stop string, in a stream too, and no token of it has a log-probability", async () => {
    const ids = wanted("decoded", 0);
    const stop = said(ids.slice(3, 5));
    const end = idsIn(said(ids).slice(0, said(ids).indexOf(stop)));
    const body = { ...greedy, prompt: texts[0], stop, logprobs: 0 };
    const { body: whole, request } = await serving.json("completions", body, { prompt });
    expect(idsIn(whole.choices[0].text)).toEqual(end);
    expect(whole.choices[0]).toMatchObject({ finish_reason: "stop" });
    await vi.waitFor(() => expect(ledger.recordOf(request)!.completionTokens).toBe(whole.usage.completion_tokens));
    const { events } = await eventsOf(
      (await serving.post("completions", { ...body, stream: true }, { prompt })).response,
    );
    expect(events.map(({ choices }) => choices[0].text).join("")).toBe(whole.choices[0].text);
    const tokens = events.flatMap(({ choices }) => choices[0].logprobs.tokens);
    expect(tokens).toEqual(whole.choices[0].logprobs.tokens);
    expect(idsIn(tokens.join(""))).toEqual(end);
  });

  test("of a chat, whole and in a stream", async () => {
    const messages = [{ role: "user", content: said(texts[0]!.slice(0, -1)).trim() }];
    const rendered = [...texts[0]!.slice(0, -1), 1];
    const plain = await serving.json("completions", { ...greedy, prompt: rendered, max_tokens: 5 }, { prompt });
    const { body } = await serving.json(
      "chat/completions",
      { ...greedy, messages, max_tokens: 5, logprobs: true, top_logprobs: 1 },
      { prompt },
    );
    expect(body).toMatchObject({
      object: "chat.completion",
      choices: [
        { index: 0, message: { role: "assistant", content: plain.body.choices[0].text }, finish_reason: "length" },
      ],
      usage: plain.body.usage,
    });
    const [first] = body.choices[0].logprobs.content;
    expect(first.bytes).toEqual([...Buffer.from(first.token)]);
    expect(first.top_logprobs).toEqual([{ token: first.token, logprob: first.logprob, bytes: first.bytes }]);
    const { response } = await serving.post(
      "chat/completions",
      { ...greedy, messages, max_tokens: 5, stream: true },
      { prompt },
    );
    const { events, isDone } = await eventsOf(response);
    expect(isDone).toBe(true);
    expect(events[0]).toMatchObject({
      object: "chat.completion.chunk",
      choices: [{ delta: { role: "assistant", content: "" } }],
    });
    expect(events.map(({ choices }) => choices[0].delta.content ?? "").join("")).toBe(plain.body.choices[0].text);
    expect(events.at(-1).choices[0].finish_reason).toBe("length");
  });
});

test("drawn answers are the same with the same seed, in whatever company, and others with another", async () => {
  const body = { model: "m", prompt: texts[0], max_tokens: 12, temperature: 1.2, top_p: 0.95, n: 3, seed: 7 };
  const texts1 = async (change: object = {}) => {
    const { body: answer } = await serving.json("completions", { ...body, ...change }, { prompt });
    return answer.choices.map(({ text }: { text: string }) => text);
  };
  const alone = await texts1();
  expect(new Set(alone).size).toBeGreaterThan(1);
  const [again] = await Promise.all([texts1(), texts1({ seed: 8 }), texts1({ seed: 2 ** 40 + 7 })]);
  expect(again).toEqual(alone);
  expect(await texts1({ seed: 8 })).not.toEqual(alone);
  expect(await texts1({ seed: 2 ** 40 + 7 })).not.toEqual(alone);
  expect(await texts1({ seed: null })).not.toEqual(await texts1({ seed: null }));
});

test.each<[string, object, number, RegExp]>([
  ["no room", { prompt: [1, 2, 3], max_tokens: 60 }, 400, /4 virtual tokens.* 64 positions/],
  ["a token that isn't there", { prompt: [1, 40] }, 400, /isn't below 40/],
  ["an empty text", { prompt: "" }, 400, /no token/],
  ["an unknown parameter", { prompt: "t1", tools: [] }, 400, /tools/],
])("%s is refused", async (_, change, status, message) => {
  const { status: got, body, request } = await serving.json("completions", { model: "m", ...change }, { prompt });
  expect(got).toBe(status);
  expect(body.error).toMatchObject({ type: "invalid_request_error", message: expect.stringMatching(message) });
  await vi.waitFor(() => expect(ledger.recordOf(request)).toMatchObject({ promptTokens: 0, completionTokens: 0 }));
});

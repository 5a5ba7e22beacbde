import { expect, test } from "vitest";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { type Endpoint, MAX_ROWS, parseInference } from "../../../shared/protocol/inference.ts";
import { openaiError } from "../../../shared/protocol/openai-error.ts";

const completion = { model: "gpt2", prompt: "a" };
const chat = { model: "gpt2", messages: [{ role: "user", content: "a" }] };
const classify = { model: "gpt2:x", input: "a" };
const labelOf = (i: number) => ({ name: `label ${i}`, words: [" a word that is long", " another one"] });
const TASK = { name: "mood", template: "{text} is", labels: [labelOf(0), labelOf(1)], init: "Say it." };

/** The message and param in which OpenAI's clients are told what is wrong. */
function refusal(endpoint: Endpoint, body: unknown) {
  try {
    parseInference(endpoint, body);
  } catch (error) {
    const { status, body } = openaiError(error as ProblemError);
    expect(status).toBe(400);
    return body.error;
  }
  throw new Error("it was taken");
}

test("defaults are OpenAI's, and null is as if it weren't there", () => {
  const wanted = { temperature: 1, top_p: 1, n: 1, stop: [], stream: false, max_tokens: 16, prompt: ["a"] };
  expect(parseInference("completions", completion)).toMatchObject(wanted);
  const nulls = { temperature: null, top_p: null, n: null, stop: null, stream: null, max_tokens: null, logprobs: null };
  expect(parseInference("completions", { ...completion, ...nulls, best_of: null })).toMatchObject(wanted);
  expect(parseInference("chat/completions", chat)).toMatchObject({ messages: chat.messages, logprobs: false });
});

test.each<[unknown, unknown]>([
  ["a", ["a"]],
  [
    ["a", "b"],
    ["a", "b"],
  ],
  [[1, 2], [[1, 2]]],
  [
    [[1], [2, 3]],
    [[1], [2, 3]],
  ],
])("the prompt %j", (prompt, prompts) => {
  expect(parseInference("completions", { ...completion, prompt }).prompt).toEqual(prompts);
});

test.each([[], [[]], [1.5], [-1], {}, [1, "a"], 7, null].map((prompt) => ({ prompt })))(
  "not the prompt $prompt",
  ({ prompt }) => {
    expect(refusal("completions", { ...completion, prompt }).param).toMatch(/^prompt/);
  },
);

test("stop strings, inputs and messages in their other forms", () => {
  expect(parseInference("completions", { ...completion, stop: "\n" }).stop).toEqual(["\n"]);
  expect(parseInference("classify", classify).input).toEqual(["a"]);
  expect(parseInference("classify", { ...classify, task: TASK }).task).toEqual({ ...TASK, maxLength: 128 });
  const parts = [
    { type: "text", text: "a" },
    { type: "text", text: "b" },
  ];
  const { messages } = parseInference("chat/completions", { ...chat, messages: [{ role: "user", content: parts }] });
  expect(messages[0]!.content).toBe("ab");
  expect(parseInference("chat/completions", { ...chat, max_completion_tokens: 7 }).max_tokens).toBe(7);
});

test.each<[Endpoint, object, string]>([
  ["completions", { suffix: "x" }, "suffix"],
  ["completions", { best_of: 2 }, "best_of"],
  ["completions", { echo: true }, "echo"],
  ["completions", { frequency_penalty: 0.5 }, "frequency_penalty"],
  ["completions", { presence_penalty: -1 }, "presence_penalty"],
  ["completions", { logit_bias: { "5": 1 } }, "logit_bias"],
  ["completions", { logprobs: 6 }, "logprobs"],
  ["completions", { max_tokens: 0 }, "max_tokens"],
  ["completions", { temperature: 2.1 }, "temperature"],
  ["completions", { top_p: 0 }, "top_p"],
  ["completions", { n: MAX_ROWS + 1 }, "n"],
  ["completions", { prompt: ["a", "b"], n: MAX_ROWS / 2 + 1 }, "prompt"],
  ["completions", { stop: ["a", "b", "c", "d", "e"] }, "stop"],
  ["completions", { stop: "" }, "stop"],
  ["completions", { stream_options: { include_usage: true } }, "stream_options"],
  [
    "completions",
    { stream: true, stream_options: { include_obfuscation: true } },
    "stream_options.include_obfuscation",
  ],
  ["chat/completions", { top_logprobs: 2 }, "top_logprobs"],
  ["chat/completions", { messages: [] }, "messages"],
  ["chat/completions", { messages: [{ role: "tool", content: "a" }] }, "messages[0].role"],
  ["chat/completions", { response_format: { type: "json_object" } }, "response_format.type"],
  ["chat/completions", { max_tokens: 1, max_completion_tokens: 1 }, "max_tokens"],
  ["classify", { input: [] }, "input"],
  ["classify", { task: { ...TASK, labels: TASK.labels.slice(1) } }, "task.labels"],
  ["classify", { task: { ...TASK, kind: "generation" } }, "task.kind"],
  ["classify", { task: { ...TASK, labels: Array.from({ length: 400 }, (_, i) => labelOf(i)) } }, "task"],
])("what %s can't do is refused by name: %j", (endpoint, change, param) => {
  const body = { completions: completion, "chat/completions": chat, classify }[endpoint];
  expect(refusal(endpoint, { ...body, ...change }).param).toBe(param);
});

test.each<[Endpoint, object]>([
  ["completions", { ...completion, tools: [] }],
  ["chat/completions", { ...chat, tools: [] }],
  ["classify", { ...classify, tools: [] }],
])("an unknown parameter of %s is refused by name", (endpoint, body) => {
  expect(refusal(endpoint, body)).toMatchObject({ param: "tools", message: expect.stringContaining("tools") });
});

test("what changes nothing may be said of what isn't supported", () => {
  const neutral = { frequency_penalty: 0, presence_penalty: 0, logit_bias: {}, echo: false, best_of: 1, suffix: null };
  expect(parseInference("completions", { ...completion, ...neutral }).prompt).toEqual(["a"]);
});

test("statuses have OpenAI's types", () => {
  const kind = (status: number) => openaiError(new ProblemError("Title", "detail", { status })).body.error.type;
  expect([401, 403, 404, 429, 503, 400].map(kind)).toEqual([
    "authentication_error",
    "permission_error",
    "invalid_request_error",
    "rate_limit_error",
    "server_error",
    "invalid_request_error",
  ]);
});

/** After a failure that leaves open whether something arrived, its idempotency key is said. */
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { FILES, QUOTE, student } from "../helpers/answers.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

type Answer = (response: ServerResponse) => unknown;

const json =
  (body: unknown, status = 200): Answer =>
  (response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
const cut: Answer = (response) => response.destroy();
const page =
  (status: number): Answer =>
  (response) =>
    response.writeHead(status).end("<html>");

/** A provider for the commands of this test. @returns the keys that came with requests to `path` */
async function provider(path: string, answers: Readonly<Record<string, Answer>>): Promise<unknown[]> {
  const keys: unknown[] = [];
  const server = createServer((request, response) => {
    const [asked] = request.url!.split("?");
    if (asked === path) keys.push(request.headers["idempotency-key"]);
    request.resume().once("end", () => (answers[asked!] ?? page(404))(response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  });
  vi.stubEnv("SOFTPOST_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv("SOFTPOST_KEY", "key");
  return keys;
}

const SAID = /To send it again, never twice: --idempotency-key (\S+)\n$/;

test.each<[string, Answer, boolean]>([
  ["ends the connection", cut, true],
  ["fails", page(500), true],
  ["times out", page(408), true],
  ["answers with something else", json({}), true],
  ["refuses", json({ title: "No", detail: "Not this." }, 422), false],
])("submit, whose provider %s", async (_, answer, isSaid) => {
  const prompt = join(temporaryFolder(), "prompt");
  const inputs = ["--model", fixture("tiny-gpt2"), "--task", fixture("tiny-task/task.json"), "--prompt-tokens", "4"];
  const tuning = [...inputs, "--train", fixture("tiny-task/train.jsonl"), "--steps", "1", "--epsilon", "8"];
  expect((await softpost("tune", ...tuning, "--out", prompt)).code).toBe(0);
  const { model } = JSON.parse(readFileSync(join(prompt, "softpost.json"), "utf8"));
  const keys = await provider("/v1/transfers", {
    "/v1/students": json({ students: [student(model.digest)] }),
    "/v1/quotes": json(QUOTE),
    "/v1/transfers": answer,
  });
  const failed = await softpost("submit", "--prompt", prompt, "--dataset", "mine", "--public", "public");
  expect(failed).toMatchObject({ code: 1, stdout: "" });
  expect(keys).toEqual([expect.any(String)]);
  expect(SAID.exec(failed.stderr)?.[1]).toBe(isSaid ? keys[0] : undefined);
});

const ID = "abcdefghijklmnop";
const STARTED = {
  ...{ id: ID, state: "queued", version: 1, model: "target:a", progress: null, rate: QUOTE.rate, cost: null },
  ...{ created: "2026-01-01T00:00:00.000Z", updated: "2026-01-01T00:00:00.000Z", estimatedSeconds: 10 },
  ...{ reserved: QUOTE.reserve, actualSeconds: null, problem: null, files: [] },
};
const DONE = { ...STARTED, state: "succeeded", version: 2, cost: { deviceSeconds: 1, micros: 1 }, actualSeconds: 1 };
const events =
  (body: unknown): Answer =>
  (response) =>
    response.writeHead(200, { "content-type": "text/event-stream" }).end(`data: ${JSON.stringify(body)}\n\n`);

const refused = json({ title: "No", detail: "Not this." }, 403);

test.each<[string, Answer, Answer, boolean]>([
  ["ends the connection", cut, cut, true],
  ["refuses", refused, cut, false],
  ["refuses to tell of the job that began", json(STARTED, 202), refused, true],
  ["has lost the answers", json(STARTED, 202), events({ ...DONE, files: FILES }), true],
  [
    "breaks off the answers",
    json(STARTED, 202),
    events({ ...DONE, files: [{ ...FILES[0], name: "predictions.jsonl" }] }),
    true,
  ],
  ["fails at the job", json(STARTED, 202), events({ ...DONE, state: "failed", problem: "Out of memory." }), false],
])("predict --remote, whose provider %s", async (_, begin, follow, isSaid) => {
  const keys = await provider("/v1/predictions", {
    "/v1/predictions": begin,
    [`/v1/predictions/${ID}`]: follow,
    [`/v1/predictions/${ID}/events`]: follow,
    [`/v1/predictions/${ID}/files/predictions.jsonl`]: (response) => {
      response.writeHead(200, { "content-length": "100" }).write("{", () => response.destroy());
    },
  });
  const data = temporaryFile("rows.jsonl", '{"text": "a"}\n');
  const failed = await softpost("predict", "--remote", "--model", "target:a", "--data", data);
  expect(failed).toMatchObject({ code: 1, stdout: "" });
  expect(failed.stderr).not.toContain("bug in softpost");
  expect(SAID.exec(failed.stderr)?.[1]).toBe(isSaid ? keys[0] : undefined);
});

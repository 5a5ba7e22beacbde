/** Webhooks at a real HTTP server on loopback, which an explicit setting of the test allows. */
import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { DeliveryRecord } from "../../shared/protocol/webhook.ts";
import {
  ADMIN,
  faultyBundle,
  type Provider,
  promptOf,
  startProvider,
  type TenantClient,
  uploadOf,
} from "./provider.ts";
import { type Double, startDouble } from "./serving-double.ts";
import { transferred } from "./transferred.ts";

interface Received {
  readonly headers: Record<string, string>;
  readonly body: string;
}

const RESULT = { files: [{ name: "x", size: 1, sha256: "a".repeat(64) }], deviceSeconds: 2, device: "CPU" };

let provider: Provider;
let url: string;
let double: Double;
let received: Received[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;
const well = (_: IncomingMessage, response: ServerResponse) => void response.writeHead(204).end();

const receiver = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  received.push({ headers: request.headers as Record<string, string>, body });
  answer(request, response);
});

/** Names and where they lead, as a resolver over HTTPS says it. */
const names: Record<string, { A?: string; AAAA?: string }> = {};
const resolver = createServer((request, response) => {
  const query = new URL(request.url!, "http://x").searchParams;
  const type = query.get("type") as "A" | "AAAA";
  const data = names[query.get("name")!]?.[type];
  const Answer = data === undefined ? [] : [{ name: query.get("name"), type: type === "A" ? 1 : 28, TTL: 1, data }];
  response.writeHead(200, { "content-type": "application/dns-json" }).end(JSON.stringify({ Status: 0, Answer }));
});

const listen = (server: typeof receiver) =>
  new Promise<string>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });

beforeAll(async () => {
  url = await listen(receiver);
  const resolving = await listen(resolver);
  double = await startDouble();
  const vars = {
    WEBHOOK_LOOPBACK: "allowed",
    WEBHOOK_RESOLVER: resolving,
    SERVING_URLS: JSON.stringify({ large: double.url }),
    BATCH_PREDICT_DEFINITION: "softpost-transfer",
    BACKUP_KEY: Buffer.alloc(32, 1).toString("base64"),
  };
  provider = await startProvider(await faultyBundle(), undefined, vars);
  double.reportUrl = provider.url;
  await provider.define(["sleep", "60"]);
});

beforeEach(() => {
  received = [];
  answer = well;
});

afterAll(async () => {
  await provider.close();
  await double.close();
  receiver.closeAllConnections();
  receiver.close();
  resolver.close();
});

const call = async (method: string, path: string, body?: object) => {
  const response = await fetch(provider.url + path, {
    method,
    headers: ADMIN,
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
};
const hooks = (tenant: TenantClient, path = "") => `/v1/admin/tenants/${tenant.id}/webhooks${path}`;
const create = (tenant: TenantClient, body: object = { url }) => call("POST", hooks(tenant), body);
const deliveries = async (tenant: TenantClient, hook: string): Promise<DeliveryRecord[]> =>
  (await call("GET", hooks(tenant, `/${hook}/deliveries`))).body.deliveries;
/** Makes every pending try due. */
const later = (tenant: TenantClient) => provider.fetchJson(`/test/age/${tenant.id}/${86_400_000}`);

async function until<T>(ask: () => Promise<T> | T, holds: (value: T) => boolean): Promise<T> {
  for (let i = 0; i < 300; i++) {
    const value = await ask();
    if (holds(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("It never came.");
}

async function succeed(tenant: TenantClient, seed: number): Promise<string> {
  const { body } = await tenant.submit(uploadOf(promptOf(seed)));
  await provider.store.write(`jobs/${tenant.id}-${body.id}/result.json`, JSON.stringify(RESULT));
  await tenant.cancel(body.id);
  return body.id;
}

test("tell of a transfer's end, signed as the standard has it, and of nothing else", async () => {
  const tenant = await provider.tenant();
  const { status, body: hook } = await create(tenant);
  expect(status).toBe(201);
  const id = await succeed(tenant, 1);
  await until(
    () => received.length,
    (n) => n === 1,
  );
  const [{ headers, body }] = received as [Received];
  expect(JSON.parse(body)).toEqual({
    type: "transfer.succeeded",
    timestamp: expect.any(String),
    data: { transfer: id, state: "succeeded" },
  });
  // The scheme written out, beside its own library.
  const key = Buffer.from(hook.secret.replace("whsec_", ""), "base64");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  expect(headers["webhook-signature"]).toBe(`v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
  expect(() => new Webhook(hook.secret).verify(body, headers)).not.toThrow();
  expect(() => new Webhook(hook.secret).verify(`${body} `, headers)).toThrow();
  const old = { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) - 400) };
  expect(() => new Webhook(hook.secret).verify(body, old)).toThrow(/too old/);
  expect(Math.abs(Number(headers["webhook-timestamp"]) - Date.now() / 1000)).toBeLessThan(60);
  const [delivery] = await until(
    () => deliveries(tenant, hook.id),
    ([one]) => one?.state === "delivered",
  );
  expect(delivery).toMatchObject({
    id: headers["webhook-id"],
    tries: 1,
    lastStatus: 204,
    lastError: null,
    nextTry: null,
  });
  expect(JSON.stringify((await call("GET", hooks(tenant))).body)).not.toContain(hook.secret);
});

test("are told what they want: failures, cancellations, and each share of a budget once", async () => {
  const tenant = await provider.tenant({ virtualTokens: 10 });
  await create(tenant, { url, events: ["transfer.cancelled", "budget.reached"] });
  const { body: one } = await tenant.submit(uploadOf(promptOf(1)));
  const { body: two } = await tenant.submit(uploadOf(promptOf(2)));
  await tenant.cancel(one.id);
  // From 80 % it went down, and up again.
  await tenant.submit(uploadOf(promptOf(3)));
  const told = () => received.map(({ body }) => JSON.parse(body)).map(({ type, data }) => [type, data]);
  await until(
    () => received.length,
    (n) => n === 2,
  );
  expect(told()).toEqual(
    expect.arrayContaining([
      ["budget.reached", { budget: "virtualTokens", percent: 80 }],
      ["transfer.cancelled", { transfer: one.id, state: "cancelled" }],
    ]),
  );
  await call("PATCH", `/v1/admin/tenants/${tenant.id}/limits`, { virtualTokens: 12 });
  await tenant.submit(uploadOf(promptOf(4)));
  await until(
    () => received.length,
    (n) => n === 3,
  );
  expect(told().at(-1)).toEqual(["budget.reached", { budget: "virtualTokens", percent: 100 }]);
  await tenant.cancel(two.id);
  await until(
    () => received.length,
    (n) => n === 4,
  );
});

test("are told of money that predictions and tokens take", async () => {
  const tenant = await provider.tenant({ micros: 24 });
  await create(tenant, { url, events: ["budget.reached"] });
  const told = () => received.map(({ body }) => JSON.parse(body).data);
  // It sets aside 22 millionths, and uses 20.
  Object.assign(double, { promptTokens: 13, tokens: 9 });
  const answer = await fetch(`${provider.url}/v1/completions`, {
    method: "POST",
    headers: { ...tenant.headers, "content-type": "application/json" },
    body: JSON.stringify({ model: "large", prompt: "Hello", max_tokens: 10 }),
  });
  expect(answer.status).toBe(200);
  await until(told, ({ length }) => length > 0);
  expect(told()).toEqual([{ budget: "money", percent: 80 }]);

  const other = await provider.tenant();
  const { id } = await transferred(provider, other, 20);
  await create(other, { url, events: ["budget.reached"] });
  const { used } = (await other.get("/v1/budget")).body.deviceSeconds;
  const price = await provider.fetchJson(`/v1/predictions?model=large:${id}`, predict(other));
  await call("PATCH", `/v1/admin/tenants/${other.id}/limits`, {
    deviceSeconds: used + 2 * price.body.reserved.deviceSeconds,
  });
  await provider.fetchJson(`/v1/predictions?model=large:${id}`, predict(other));
  await until(told, ({ length }) => length > 1);
  expect(told().at(-1)).toEqual({ budget: "deviceSeconds", percent: 100 });
});

const predict = ({ headers }: TenantClient) => ({
  method: "POST",
  headers: { ...headers, "content-type": "application/jsonl" },
  body: '{"text":"x"}',
});

test("are tried again after a 500, a redirect and a lost connection, under one id with a fresh time", async () => {
  const tenant = await provider.tenant();
  const { body: hook } = await create(tenant);
  const answers: (typeof answer)[] = [
    (_, response) => void response.writeHead(500).end("private words"),
    (_, response) => void response.writeHead(302, { location: `${url}/elsewhere` }).end(),
    (request) => void request.socket.destroy(),
    well,
  ];
  answer = (request, response) => answers[Math.min(received.length, answers.length) - 1]!(request, response);
  await succeed(tenant, 1);
  const expected = [
    [500, "It answered 500."],
    [302, expect.stringContaining("redirect")],
    [null, "No connection."],
    [204, null],
  ];
  for (const [i, [status, error]] of expected.entries()) {
    const [last] = await until(
      () => deliveries(tenant, hook.id),
      ([one]) => one?.tries === i + 1,
    );
    expect([last!.lastStatus, last!.lastError, last!.state]).toEqual([
      status,
      error,
      i === 3 ? "delivered" : "pending",
    ]);
    if (i === 0) expect(Date.parse(last!.nextTry!) - Date.parse(last!.lastTry!)).toBe(5000);
    await later(tenant);
  }
  expect(received).toHaveLength(4);
  expect(new Set(received.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  for (const { headers, body } of received) expect(() => new Webhook(hook.secret).verify(body, headers)).not.toThrow();
  await later(tenant);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(received).toHaveLength(4);
});

test("that give no answer are cut off after ten seconds, and tried again", { timeout: 120_000 }, async () => {
  const tenant = await provider.tenant();
  const { body: hook } = await create(tenant);
  answer = () => {};
  await succeed(tenant, 1);
  const [last] = await until(
    () => deliveries(tenant, hook.id),
    ([one]) => one?.tries === 1,
  );
  expect([last!.state, last!.lastStatus, last!.lastError]).toEqual(["pending", null, "No answer within 10 s."]);
});

test("are given up after a day of tries, and redelivered by hand once, however often that is asked for at one time", async () => {
  const tenant = await provider.tenant();
  const { body: hook } = await create(tenant);
  answer = (_, response) => void response.writeHead(503).end();
  await succeed(tenant, 1);
  for (let tries = 1; tries <= 9; tries++) {
    await until(
      () => deliveries(tenant, hook.id),
      ([one]) => one?.tries === tries,
    );
    await later(tenant);
  }
  const [failed] = await deliveries(tenant, hook.id);
  expect(failed).toMatchObject({ state: "failed", tries: 9, nextTry: null, lastStatus: 503 });
  received = [];
  answer = (_, response) => void setTimeout(() => response.writeHead(204).end(), 300);
  const redeliver = () => call("POST", hooks(tenant, `/${hook.id}/deliveries/${failed!.id}/redeliver`));
  const asked = await Promise.all([redeliver(), redeliver()]);
  expect(asked.map(({ status }) => status)).toEqual([202, 202]);
  await until(
    () => deliveries(tenant, hook.id),
    ([one]) => one?.state === "delivered",
  );
  await later(tenant);
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(received.map(({ headers }) => headers["webhook-id"])).toEqual([failed!.id]);
  expect((await call("POST", hooks(tenant, `/${hook.id}/deliveries/msg_none/redeliver`))).status).toBe(404);
});

test("survive a restart of the Worker with what is to be delivered", async () => {
  const tenant = await provider.tenant();
  const { body: hook } = await create(tenant);
  answer = (_, response) => void response.writeHead(500).end();
  await succeed(tenant, 1);
  await until(
    () => deliveries(tenant, hook.id),
    ([one]) => one?.tries === 1,
  );
  await provider.restartWorker();
  answer = well;
  await later(tenant);
  await until(
    () => deliveries(tenant, hook.id),
    ([one]) => one?.state === "delivered",
  );
});

test("that wait in a backup are sent after it was restored", async () => {
  const tenant = await provider.tenant();
  const { body: hook } = await create(tenant);
  answer = (_, response) => void response.writeHead(500).end();
  await succeed(tenant, 1);
  const tried = ([one]: DeliveryRecord[]) => one?.tries === 1;
  await until(() => deliveries(tenant, hook.id), tried);
  const { body: made } = await call("POST", "/v1/admin/backups");
  await call("DELETE", hooks(tenant, `/${hook.id}`));
  // The alarm finds nothing, and sets none.
  await later(tenant);
  await new Promise((resolve) => setTimeout(resolve, 6000));
  answer = well;
  await call("POST", `/v1/admin/backups/${made.name}/tenants/${tenant.id}/restore`);
  const sent = ([one]: DeliveryRecord[]) => one?.state === "delivered";
  await until(() => deliveries(tenant, hook.id), sent);
});

describe("an address", () => {
  test.each([
    ["http://hooks.example.com/", "https"],
    ["https://user:word@hooks.example.com/", "password"],
    ["https://10.0.0.7/", "no public address"],
    ["https://169.254.169.254/latest", "no public address"],
    ["https://[fd00::1]/", "no public address"],
    ["https://0x7f.1:444/x", "no public address"],
    ["https://inside.example/", "10.1.1.1"],
    ["https://half.example/", "fc00::1"],
    ["https://nowhere.example/", "leads nowhere"],
  ])("%s is refused, with the reason", async (address, reason) => {
    names["inside.example"] = { A: "10.1.1.1" };
    names["half.example"] = { A: "8.8.8.8", AAAA: "fc00::1" };
    const { status, body } = await create(await provider.tenant(), { url: address });
    // 127.0.0.1 in another spelling is this machine, which this test allows.
    if (address.includes("0x7f")) expect(status).toBe(201);
    else expect([status, body.faults[0]]).toEqual([422, { at: "body#/url", message: expect.stringContaining(reason) }]);
  });

  test("that leads inside later is refused at delivery", async () => {
    const tenant = await provider.tenant();
    names["turns.example"] = { A: "93.184.215.14" };
    const { status, body: hook } = await create(tenant, { url: "https://turns.example/" });
    expect(status).toBe(201);
    names["turns.example"] = { A: "192.168.0.5" };
    await succeed(tenant, 1);
    const [last] = await until(
      () => deliveries(tenant, hook.id),
      ([one]) => one?.tries === 1,
    );
    expect(last).toMatchObject({
      state: "pending",
      lastStatus: null,
      lastError: expect.stringContaining("192.168.0.5"),
    });
  });
});

test("are a tenant's own, few, and gone when they are deleted", async () => {
  const tenant = await provider.tenant();
  for (let i = 0; i < 5; i++) expect((await create(tenant)).status).toBe(201);
  expect((await create(tenant)).status).toBe(409);
  const { webhooks } = (await call("GET", hooks(tenant))).body;
  for (const { id } of webhooks) expect((await call("DELETE", hooks(tenant, `/${id}`))).status).toBe(204);
  const transfer = await succeed(tenant, 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  // A try that another test left may come in between.
  expect(received.filter(({ body }) => body.includes(transfer))).toEqual([]);
  expect((await call("DELETE", hooks(tenant, `/${webhooks[0].id}`))).status).toBe(404);
});

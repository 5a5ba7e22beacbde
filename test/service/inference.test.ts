import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ADMIN, faultyBundle, LIMITS, type Provider, promptOf, startProvider, type TenantClient } from "./provider.ts";
import { type Double, report, startDouble } from "./serving-double.ts";
import { transferred } from "./transferred.ts";

let double: Double;
let provider: Provider;

beforeAll(async () => {
  double = await startDouble();
  provider = await startProvider(await faultyBundle(), undefined, {
    SERVING_URLS: JSON.stringify({ large: double.url, gone: "http://127.0.0.1:1" }),
  });
  double.reportUrl = provider.url;
});

afterAll(async () => {
  await provider.close();
  await double.close();
});

beforeEach(() => {
  Object.assign(double, { promptTokens: 4, tokens: 3, pauseMs: 0, refuse: undefined, silent: false });
  double.seen.length = 0;
});

const post = (tenant: TenantClient, path: string, body: unknown, signal?: AbortSignal) =>
  fetch(provider.url + path, {
    method: "POST",
    headers: { ...tenant.headers, "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal && { signal }),
  });
const complete = (tenant: TenantClient, body: object, signal?: AbortSignal) =>
  post(tenant, "/v1/completions", { model: "large", prompt: "Hello", max_tokens: 10, ...body }, signal);
// biome-ignore lint/suspicious/noExplicitAny: the tests say what is in it
const errorOf = async (answer: Response) => ((await answer.json()) as any).error;
const budgetOf = async (tenant: TenantClient) => (await tenant.get("/v1/budget")).body.inference;
const settled = (tenant: TenantClient) =>
  expect.poll(async () => (await budgetOf(tenant)).tokens.reserved, { timeout: 120_000 }).toBe(0);

describe("models", () => {
  test("are the targets, the tenant's prompts and its names for them; another tenant's are not there", async () => {
    const [one, two] = [await provider.tenant(), await provider.tenant()];
    const { id } = await transferred(provider, one, 1);
    const name = `large:${id}`;
    const put = (tenant: TenantClient, alias: string) =>
      fetch(`${provider.url}/v1/aliases/${alias}`, {
        method: "PUT",
        headers: { ...tenant.headers, "content-type": "application/json" },
        body: JSON.stringify({ transfer: id }),
      });
    expect((await put(one, "mood")).status).toBe(200);
    expect((await put(two, "mood")).status).toBe(404);
    const ids = async (tenant: TenantClient) =>
      (await tenant.get("/v1/models")).body.data.map((model: { id: string }) => model.id);
    expect(await ids(one)).toEqual(["large", name, "mood"]);
    expect(await ids(two)).toEqual(["large"]);
    const { body } = await one.get("/v1/models/mood");
    expect(body).toMatchObject({ id: "mood", object: "model", owned_by: "tenant", root: name, parent: "large" });
    expect(body).toMatchObject({ task: { name: "mood" }, privacy: null });
    expect((await one.get(`/v1/models/${encodeURIComponent(name)}`)).body.id).toBe(name);
    for (const model of ["mood", name, `other:${id}`, "gone", "large:aaaaaaaaaaaaaaaa"]) {
      const { status, body } = await two.get(`/v1/models/${model}`);
      expect([status, body.error?.code]).toEqual([404, "model_not_found"]);
      const answer = await complete(two, { model });
      expect([answer.status, (await errorOf(answer)).code]).toEqual([404, "model_not_found"]);
      expect((await post(two, "/v1/classify", { model, input: "x" })).status).toBe(404);
    }
    expect(double.seen).toEqual([]);
    expect((await one.get("/v1/aliases")).body.aliases).toEqual([{ alias: "mood", transfer: id }]);
    expect((await two.get("/v1/aliases")).body.aliases).toEqual([]);
    const remove = () => fetch(`${provider.url}/v1/aliases/mood`, { method: "DELETE", headers: one.headers });
    expect([(await remove()).status, (await remove()).status]).toEqual([204, 404]);
    expect((await one.get("/v1/models/mood")).status).toBe(404);
  });

  test("are no longer there once their transfer is deleted or the account was closed, and neither are their names", async () => {
    const tenant = await provider.tenant();
    const ids = [(await transferred(provider, tenant, 1)).id, (await transferred(provider, tenant, 2)).id];
    const headers = { ...tenant.headers, "content-type": "application/json" };
    const put = (alias: string, transfer: string) =>
      fetch(`${provider.url}/v1/aliases/${alias}`, { method: "PUT", headers, body: JSON.stringify({ transfer }) });
    for (const [i, id] of ids.entries()) expect((await put(`mood-${i}`, id)).status).toBe(200);
    const expectGone = async (who: TenantClient, id: string, alias: string) => {
      for (const model of [`large:${id}`, alias]) {
        expect((await who.get(`/v1/models/${model}`)).status).toBe(404);
        const answer = await complete(who, { model });
        expect([answer.status, (await errorOf(answer)).code]).toEqual([404, "model_not_found"]);
      }
    };
    await tenant.remove(ids[0]!);
    await expectGone(tenant, ids[0]!, "mood-0");
    expect((await put("again", ids[0]!)).status).toBe(404);
    expect((await tenant.get("/v1/aliases")).body.aliases).toEqual([{ alias: "mood-1", transfer: ids[1] }]);
    const { data } = (await tenant.get("/v1/models")).body;
    expect(data.map((model: { id: string }) => model.id)).toEqual(["large", `large:${ids[1]}`, "mood-1"]);

    const path = `/v1/admin/tenants/${tenant.id}`;
    expect((await provider.fetchJson(path, { method: "DELETE", headers: ADMIN })).status).toBe(200);
    const open = JSON.stringify({ name: "back", limits: LIMITS, id: tenant.id });
    await provider.fetchJson("/v1/admin/tenants", { method: "POST", headers: ADMIN, body: open });
    const body = JSON.stringify({ name: "new", scopes: ["read", "infer", "submit"] });
    const { body: made } = await provider.fetchJson(`${path}/keys`, { method: "POST", headers: ADMIN, body });
    const authorization = `Bearer ${made.key}`;
    const back = { ...tenant, headers: { authorization } };
    back.get = (at: string) => provider.fetchJson(at, { headers: { authorization } });
    await expectGone(back, ids[1]!, "mood-1");
    expect((await back.get("/v1/models")).body.data).toHaveLength(1);
  });

  test("are asked with a ticket that names the prompt's files", async () => {
    const tenant = await provider.tenant();
    const { id, folder } = await transferred(provider, tenant, 2);
    const answer = await post(tenant, "/v1/classify", { model: `large:${id}`, input: ["one", "two"] });
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "application/json"]);
    const [{ ticket, headers }] = double.seen as [Double["seen"][0]];
    expect(ticket).toMatchObject({ tenant: tenant.id, target: "large", endpoint: "classify" });
    expect(ticket.prompt).toMatchObject({
      weights: `${folder}adapter_model.safetensors`,
      manifest: `${folder}softpost.json`,
    });
    expect(headers["x-softpost-model"]).toBe(`large:${id}`);
    expect(headers["x-softpost-id"]).toMatch(/^classify-/);
    expect(JSON.stringify(headers)).not.toContain(tenant.key);
    await settled(tenant);
    expect((await tenant.get("/v1/usage")).body.rows).toMatchObject([
      { model: `large:${id}`, requests: 1, promptTokens: 4, completionTokens: 0 },
    ]);
  });

  test("have a task of their own, which a target by itself is told", async () => {
    const tenant = await provider.tenant();
    const { id } = await transferred(provider, tenant, 5);
    const { task } = promptOf(1).manifest;
    const twice = await post(tenant, "/v1/classify", { model: `large:${id}`, input: "x", task });
    expect([twice.status, await errorOf(twice)]).toMatchObject([400, { param: "task" }]);
    expect((await post(tenant, "/v1/classify", { model: "large", input: "x", task })).status).toBe(200);
    const { ticket, body } = double.seen.at(-1)!;
    expect(ticket).toMatchObject({ target: "large", prompt: null, endpoint: "classify" });
    expect(JSON.parse(body).task).toEqual(task);
  });

  test("whose manifest is damaged are listed without it, and not asked where it is needed", async () => {
    const tenant = await provider.tenant();
    const { id, folder } = await transferred(provider, tenant, 3);
    await provider.store.write(`${folder}softpost.json`, "damaged");
    expect((await tenant.get(`/v1/models/large:${id}`)).body).toMatchObject({ task: null, privacy: null });
    const answer = await post(tenant, "/v1/classify", { model: `large:${id}`, input: "x" });
    expect([answer.status, (await errorOf(answer)).type]).toEqual([500, "server_error"]);
    expect((await budgetOf(tenant)).tokens).toMatchObject({ used: 0, reserved: 0 });
  });
});

describe("requests", () => {
  test("without the right key, scope, body or model are refused in OpenAI's form", async () => {
    const reader = await provider.tenant({}, ["read", "submit"]);
    const tenant = await provider.tenant();
    const error = async (answer: Response) => [answer.status, await errorOf(answer)] as const;
    expect(await error(await complete(reader, {}))).toMatchObject([403, { type: "permission_error" }]);
    const nobody = { ...tenant, headers: { authorization: "Bearer sp_x" } };
    expect(await error(await complete(nobody, {}))).toMatchObject([401, { code: "invalid_api_key" }]);
    expect(await error(await complete(tenant, { top_k: 3 }))).toMatchObject([400, { param: "top_k" }]);
    expect(await error(await complete(tenant, { max_tokens: "x" }))).toMatchObject([400, { param: "max_tokens" }]);
    const raw = await post(tenant, "/v1/completions", '{"model":"large","model":"large","prompt":"x"}');
    expect((await error(raw))[0]).toBe(400);
    expect((await error(await post(tenant, "/v1/completions", "no json")))[0]).toBe(400);
    const long = { model: "large", prompt: "x".repeat(2 ** 20) };
    expect((await error(await post(tenant, "/v1/completions", long)))[0]).toBe(413);
    expect(await error(await post(tenant, "/v1/classify", { model: "large", input: "x" }))).toMatchObject([
      400,
      { param: "model" },
    ]);
    expect((await tenant.get("/v1/completions")).status).toBe(405);
    expect(double.seen).toEqual([]);
    expect((await budgetOf(tenant)).tokens.reserved).toBe(0);
  });

  test("of a revoked key are refused at once", async () => {
    const tenant = await provider.tenant();
    expect((await complete(tenant, {})).status).toBe(200);
    const admin = { authorization: "Bearer admin-secret" };
    const path = `/v1/admin/tenants/${tenant.id}/keys/${tenant.key.split("_")[2]}`;
    await fetch(provider.url + path, { method: "DELETE", headers: admin });
    expect((await complete(tenant, {})).status).toBe(401);
  });

  test("are answered as the process answers, and charged what was used", async () => {
    const tenant = await provider.tenant();
    const answer = await complete(tenant, { stream: true });
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect((await answer.text()).match(/data: /g)).toHaveLength(4);
    await settled(tenant);
    const budget = (await tenant.get("/v1/budget")).body;
    // 4 · 0.5 + 3 · 1.5 millionths, rounded up.
    expect(budget.inference).toMatchObject({ tokens: { used: 7 }, daily: { used: 7 }, micros: { used: 7 } });
    expect(budget.money).toMatchObject({ used: 7, reserved: 0 });
    const day = new Date().toISOString().slice(0, 10);
    const csv = await (await fetch(`${provider.url}/v1/usage?format=csv`, { headers: tenant.headers })).text();
    expect(csv).toBe(`day,model,requests,prompt_tokens,completion_tokens,usd\r\n${day},large,1,4,3,0.000007\r\n`);
    expect((await tenant.get("/v1/usage?from=2020-01-01&to=2020-01-31")).body.rows).toEqual([]);
    expect((await tenant.get("/v1/usage?from=2020-01-01&to=2022-01-31")).status).toBe(400);
  });

  test("never cost more than was reserved, and a second report of one counts for nothing", async () => {
    const tenant = await provider.tenant();
    double.promptTokens = 1e6;
    await (await complete(tenant, {})).text();
    await settled(tenant);
    const used = (await budgetOf(tenant)).tokens.used;
    // "Hello" has five bytes.
    expect(used).toBe(5 + 8 + 3);
    const { request } = double.seen[0]!.ticket;
    const record = { request, tenant: tenant.id, promptTokens: 5, completionTokens: 5 };
    expect((await report(provider.url, [record, record])).status).toBe(204);
    expect((await budgetOf(tenant)).tokens).toMatchObject({ used, reserved: 0 });
  });

  test.each([400, 404, 413, 500, 503])("that the process answers with %i cost nothing", async (status) => {
    const tenant = await provider.tenant();
    double.refuse = status;
    const answer = await complete(tenant, {});
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([status, "7"]);
    expect((await errorOf(answer)).message).toBe("No.");
    expect((await budgetOf(tenant)).tokens).toMatchObject({ used: 0, reserved: 0 });
  });

  test("whose ticket the process refuses are our fault, not the key's", async () => {
    const tenant = await provider.tenant();
    double.refuse = 401;
    const answer = await complete(tenant, {});
    expect([answer.status, (await errorOf(answer)).type]).toEqual([502, "server_error"]);
    expect((await budgetOf(tenant)).tokens.reserved).toBe(0);
  });

  test("that a client hangs up on are stopped, and charged what was made", async () => {
    const tenant = await provider.tenant();
    Object.assign(double, { tokens: 10_000, pauseMs: 20 });
    const stop = new AbortController();
    const answer = await complete(tenant, { stream: true, max_tokens: 5000 }, stop.signal);
    const reader = answer.body!.getReader();
    await reader.read();
    expect((await budgetOf(tenant)).tokens.reserved).toBe(5013);
    stop.abort();
    await reader.read().catch(() => {});
    await settled(tenant);
    const made = double.ended.get(double.seen[0]!.ticket.request)!;
    expect(made).toBeGreaterThan(0);
    expect(made).toBeLessThan(500);
    expect((await budgetOf(tenant)).tokens.used).toBe(4 + made);
  });

  test("that a client hangs up on before there is an answer are stopped too", async () => {
    const tenant = await provider.tenant();
    Object.assign(double, { tokens: 10_000, pauseMs: 20 });
    const body = JSON.stringify({ model: "large", prompt: "Hello", max_tokens: 5000 });
    // workerd takes a connection that only ends, as fetch's does, for one whose client still reads.
    const socket = connect(Number(new URL(provider.url).port), "127.0.0.1");
    socket.write(
      `POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: ${tenant.headers.authorization}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await expect.poll(() => double.seen.length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.resetAndDestroy();
    await settled(tenant);
    const made = double.ended.get(double.seen[0]!.ticket.request)!;
    expect(made).toBeGreaterThan(0);
    expect(made).toBeLessThan(500);
    expect((await budgetOf(tenant)).tokens.used).toBe(4 + made);
  });

  test("past a budget are refused with 402, and nothing is set aside", async () => {
    for (const limits of [{ tokens: 20 }, { tokens: 1000, dailyTokens: 20 }, { micros: 10 }]) {
      const tenant = await provider.tenant(limits);
      const answer = await complete(tenant, {});
      expect([answer.status, (await errorOf(answer)).code]).toEqual([402, "insufficient_quota"]);
      expect((await budgetOf(tenant)).tokens).toMatchObject({ used: 0, reserved: 0 });
    }
    expect(double.seen).toEqual([]);
  });

  test("of a tenant without a limit of tokens are refused", async () => {
    const tenant = await provider.tenant({ tokens: undefined });
    expect((await complete(tenant, {})).status).toBe(402);
  });

  test("200 at once never overspend", async () => {
    // Each sets aside 5 + 8 + 10 tokens and uses 7.
    const tenant = await provider.tenant({ tokens: 500 });
    double.pauseMs = 5;
    const statuses = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const answer = await complete(tenant, { stream: true });
        await answer.text();
        const { tokens } = await budgetOf(tenant);
        expect(tokens.used + tokens.reserved).toBeLessThanOrEqual(500);
        return answer.status;
      }),
    );
    const done = statuses.filter((status) => status === 200).length;
    expect(done).toBeGreaterThanOrEqual(21);
    expect(new Set(statuses)).toEqual(new Set([200, 402]));
    await settled(tenant);
    expect((await budgetOf(tenant)).tokens.used).toBe(7 * done);
    expect((await tenant.get("/v1/usage")).body.rows).toMatchObject([{ requests: done, completionTokens: 3 * done }]);
  });
});

test("of 100 streams half are hung up on: the others are whole, and the ledger has what was made", async () => {
  const tenant = await provider.tenant();
  Object.assign(double, { tokens: 30, pauseMs: 10 });
  const whole = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const stop = new AbortController();
      const answer = await complete(tenant, { stream: true, max_tokens: 30 }, stop.signal);
      if (i % 2 === 0) return (await answer.text()).endsWith("data: [DONE]\n\n");
      await answer.body!.getReader().read();
      stop.abort();
      return false;
    }),
  );
  expect(whole.filter(Boolean)).toHaveLength(50);
  await settled(tenant);
  const made = double.seen.reduce((total, { ticket }) => total + double.ended.get(ticket.request)!, 0);
  expect((await budgetOf(tenant)).tokens.used).toBe(100 * 4 + made);
});

describe("reports", () => {
  test("are taken with the secret only, of now, and of a ledger that is there", async () => {
    const record = { request: "a".repeat(32), tenant: "b".repeat(16), promptTokens: 1, completionTokens: 1 };
    expect((await report(provider.url, [record])).status).toBe(204);
    expect((await report(provider.url, [{ ...record, tenant: "../x" }])).status).toBe(204);
    expect((await report(provider.url, [record], "guess")).status).toBe(401);
    expect((await report(provider.url, [record], undefined, 1_700_000_000)).status).toBe(401);
    expect((await report(provider.url, [{ ...record, promptTokens: -1 }])).status).toBe(422);
    const { status } = await fetch(`${provider.url}/internal/usage`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(status).toBe(401);
  });
});

test("a report is taken but for the records of a ledger that fails, which are named", async () => {
  const tenants = [await provider.tenant(), await provider.tenant(), await provider.tenant()];
  Object.assign(double, { silent: true });
  for (const tenant of tenants) expect((await complete(tenant, {})).status).toBe(200);
  const records = double.seen.map(({ ticket }) => {
    return { request: ticket.request, tenant: ticket.tenant, promptTokens: 4, completionTokens: 2 };
  });
  await provider.fetchJson(`/test/jam/${tenants[0]!.id}`);
  const answer = await report(provider.url, records);
  expect([answer.status, await answer.json()]).toEqual([503, { untaken: [records[0]!.request] }]);
  const tokens = await Promise.all(tenants.map(async (tenant) => (await budgetOf(tenant)).tokens));
  expect(tokens.map(({ used }) => used)).toEqual([0, 6, 6]);
  expect(tokens.map(({ reserved }) => reserved > 0)).toEqual([true, false, false]);
});

describe("a process that ends in the middle", () => {
  test("of 20 streams breaks them off; what it had counted is charged, and the next are answered", async () => {
    const tenant = await provider.tenant();
    Object.assign(double, { tokens: 10_000, pauseMs: 20, silent: true });
    const streams = Array.from({ length: 20 }, async () => {
      const answer = await complete(tenant, { stream: true, max_tokens: 1000 });
      return answer.text();
    });
    await expect.poll(() => double.seen.length).toBe(20);
    double.kill();
    const ends = await Promise.allSettled(streams);
    expect(
      ends.filter(({ status, ...end }) => status === "rejected" || !JSON.stringify(end).includes("[DONE]")),
    ).toHaveLength(20);
    // What it had counted, it reports when it is there again.
    const records = double.seen.map(({ ticket }) => {
      return { request: ticket.request, tenant: tenant.id, promptTokens: 4, completionTokens: 2 };
    });
    // Connections whose answers broke off are reset, some of them only when they are used again.
    const status = () => report(provider.url, records).then((answer) => answer.status, String);
    await expect.poll(status).toBe(204);
    await expect
      .poll(() => budgetOf(tenant).then(({ tokens }) => tokens, String))
      .toMatchObject({ used: 120, reserved: 0 });
    Object.assign(double, { tokens: 3, pauseMs: 0, silent: false });
    expect((await complete(tenant, {})).status).toBe(200);
  });
});

// The last one: connections to the Worker before it are dead.
test("a Worker that ends in the middle of streams settles them when it is back", async () => {
  const tenant = await provider.tenant();
  Object.assign(double, { tokens: 10_000, pauseMs: 20 });
  const streams = Array.from({ length: 10 }, async () => {
    const answer = await complete(tenant, { stream: true, max_tokens: 1000 });
    return answer.text();
  });
  const ends = Promise.allSettled(streams);
  await expect.poll(() => double.seen.length).toBe(10);
  await provider.restartWorker();
  await ends;
  await settled(tenant);
  const made = double.seen.reduce((total, { ticket }) => total + double.ended.get(ticket.request)!, 0);
  expect((await budgetOf(tenant)).tokens.used).toBe(10 * 4 + made);
});

/** Odd requests: each gets the status that RFC 9110 has for it, none is a failure of ours. */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import { ADMIN, catalogue, type Provider, promptOf, startProvider, type TenantClient, uploadOf } from "./provider.ts";

let provider: Provider;
let tenant: TenantClient;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  await provider.define(["sleep", "60"]);
  tenant = await provider.tenant();
});

afterAll(() => provider.close());

/** Sends bytes as they are, and reads the answer until its end. */
function raw(text: string, { halfway = false } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(provider.url).port), "127.0.0.1", () => {
      socket.write(text);
      if (halfway) socket.destroy();
    });
    let answer = "";
    socket.setEncoding("utf8").on("data", (chunk) => {
      answer += chunk;
      if (/"instance":"\w+"/.test(answer)) socket.destroy();
    });
    socket.on("error", reject).on("close", () => resolve(answer));
  });
}

const head = (method: string, path: string, headers: Record<string, string>) =>
  [
    `${method} ${path} HTTP/1.1`,
    "host: localhost",
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "",
    "",
  ].join("\r\n");

/** Lines of the Worker's log. */
const log = () => {
  const lines = readFileSync(join(provider.folder, "worker.log"), "utf8").trim().split("\n");
  // workerd writes lines of its own.
  return lines
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { status?: number; route?: string; error?: string });
};

describe("a body", () => {
  test.each(["/v1/admin/tenants", "/v1/budget", "/v1/students"])("of GET %s is refused", async (path) => {
    const headers = { ...ADMIN, "content-length": "2" };
    expect(await raw(`${head("GET", path, headers)}{}`)).toMatch(/^HTTP\/1.1 400 .*A GET request has no body/s);
  });

  test.each(["zz", "-5", "5\r\nhello\r\nq", "ffffffffffffffffff"])("in chunks of %j bytes is refused", async (size) => {
    const headers = { ...ADMIN, "transfer-encoding": "chunked" };
    const answer = await raw(`${head("POST", "/v1/admin/tenants", headers)}${size}\r\n{}\r\n0\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
  });

  test("that never comes whole is given up, also with a right key", async () => {
    const headers = { ...tenant.headers, "content-type": "multipart/form-data; boundary=x", "content-length": "1000" };
    expect(await raw(`${head("POST", "/v1/transfers", headers)}--x\r\n`)).toMatch(/^HTTP\/1.1 408 /);
  });

  test("whose sender goes away is no failure of ours", async () => {
    const count = () => log().filter(({ route }) => route === "/v1/transfers").length;
    const before = count();
    const headers = { ...tenant.headers, "content-type": "multipart/form-data; boundary=x", "content-length": "1000" };
    await raw(`${head("POST", "/v1/transfers", headers)}--x\r\n`, { halfway: true });
    await expect.poll(count, { timeout: 120_000 }).toBeGreaterThan(before);
    expect(log().filter(({ status = 0, error }) => status >= 500 || error !== undefined)).toEqual([]);
  });

  test("is multipart or JSON in any case", async () => {
    const form = new Response(uploadOf(promptOf(1)));
    const type = form.headers.get("content-type")!.replace("multipart/form-data", "Multipart/Form-Data");
    const upload = { method: "POST", headers: { ...tenant.headers, "content-type": type }, body: await form.bytes() };
    expect((await provider.fetchJson("/v1/transfers", upload)).status).toBe(202);
    const quote = { method: "POST", headers: { ...tenant.headers, "content-type": "Application/JSON" }, body: "{}" };
    expect((await provider.fetchJson("/v1/quotes", quote)).status).toBe(422);
  });

  test.each([
    ["null", "null"],
    ["a list", "[]"],
    ["a text", '"text"'],
    ["half an object", "{"],
    ["a prototype", '{"__proto__":{}}'],
    ["a zero byte", "\u0000"],
    ["a number that is none", "1e999"],
    ["deep lists", "[".repeat(5000)],
  ])("that is %s is the client's fault on a JSON route", async (_, body) => {
    for (const [path, headers] of [
      ["/v1/quotes", { ...tenant.headers, "content-type": "application/json" }],
      ["/v1/admin/tenants", ADMIN],
    ] as const) {
      const { status } = await provider.fetchJson(path, { method: "POST", headers, body });
      expect([400, 422]).toContain(status);
    }
  });
});

test.each([
  ["PUT", "/v1/transfers", "GET, HEAD, POST"],
  ["PATCH", `/v1/transfers/${"a".repeat(16)}`, "GET, HEAD, DELETE"],
  ["GET", "/v1/quotes", "POST"],
  ["DELETE", "/docs", "GET, HEAD"],
])("%s %s isn't allowed, and what is, is said", async (method, path, allowed) => {
  const { status, headers } = await provider.fetchJson(path, { method, headers: tenant.headers });
  expect([status, headers.get("allow")?.split(", ").toSorted()]).toEqual([405, allowed.split(", ").toSorted()]);
});

test("what isn't there at all is 404, whatever the method", async () => {
  for (const method of ["GET", "PUT"]) {
    expect((await provider.fetchJson("/v1/nothing", { method, headers: tenant.headers })).status).toBe(404);
  }
});

test.each(["/v1/transfers?Limit=5", "/v1/ledger?after=0&page=2", "/v1/budget?currency=EUR", "/v1/transfers?Before=a"])(
  "an unknown parameter in %s is named",
  async (path) => {
    const { status, body } = await tenant.get(path);
    expect([status, body.faults[0].at]).toEqual([400, expect.stringMatching(/^query#\/(Limit|page|currency|Before)$/)]);
  },
);

test.each([
  "/v1/students/%E0%A4%A",
  "/v1/students/%00",
  "/v1/ledger?after=-1",
  "/v1/ledger?after=1e400",
  "/v1/transfers?cursor=a&cursor=b",
  "/v1/transfers/..%2f..%2fcatalogue.json",
])("%s is the client's fault", async (path) => {
  const { status } = await tenant.get(path);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
});

test("a range outside the file is told the file's size", async () => {
  const headers = { ...tenant.headers, range: "bytes=10000-" };
  const answer = await fetch(`${provider.url}/v1/students/small/files/model.safetensors`, { headers });
  expect([answer.status, answer.headers.get("content-range")]).toEqual([416, "bytes */10000"]);
});

test("faults name a request's parts as they are called", async () => {
  const post = { method: "POST", headers: ADMIN, body: "{}" };
  const body = (await provider.fetchJson("/v1/admin/tenants", post)).body;
  expect(body.detail).toMatch(/^The body has/);
  expect(body.faults[0].at).toMatch(/^body#\//);
  expect((await tenant.get("/v1/transfers/x")).body).toMatchObject({
    detail: "The path has a fault.",
    faults: [{ at: "path#/id" }],
  });
});

test("the page before an unknown transfer isn't the first one", async () => {
  const { status, body } = await tenant.get(`/v1/transfers?cursor=${"a".repeat(16)}`);
  expect([status, body.faults[0].at]).toEqual([400, "query#/cursor"]);
});

describe("a damaged object of the provider's own", () => {
  test.each([
    ["is not JSON", "{"],
    ["at /students/0/dimension", JSON.stringify({ students: [{ ...catalogue.students[0], dimension: -1 }] })],
  ])("is named to the operator, not to the client: %s", async (where, text) => {
    await provider.store.write(bucket.catalogue, text);
    const { status, body } = await tenant.get("/v1/students");
    await provider.store.write(bucket.catalogue, JSON.stringify(catalogue));
    expect([status, body.title]).toEqual([500, "The provider's storage is damaged"]);
    expect(JSON.stringify(body)).not.toContain("catalogue");
    await expect.poll(() => log().at(-1)?.error).toContain(`the object catalogue.json of the bucket is damaged`);
    expect(log().at(-1)!.error).toContain(where);
  });

  test("that only helps to estimate is done without", async () => {
    const { digest } = catalogue.students[0]!.target;
    await provider.store.write(bucket.calibration(digest), '{"speeds":[1,2,3]}');
    const { status, body } = await tenant.quote(promptOf(1).manifest, { dataset: "set-1", publicSet: "news" });
    expect([status, body.model.finishedJobs]).toEqual([200, 0]);
  });
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { startWorker } from "../../infra/local/worker.ts";
import { epsilonBounds } from "../../shared/privacy/accountant.ts";
import type { GaussianRun } from "../../shared/privacy/run.ts";
import type { PrivacyRecord } from "../../shared/protocol/manifest.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import {
  CREDENTIALS,
  OPTIONS,
  PRIVACY,
  type Provider,
  promptOf,
  STUDENT_FILE,
  startProvider,
  uploadOf,
} from "./provider.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  await provider.define(["true"]);
});

afterAll(() => provider.close());

describe("keys", () => {
  test.each([
    ["no key", {}],
    ["another scheme", { authorization: "Basic abc" }],
    ["a key of no tenant", { authorization: `Bearer sp_${"a".repeat(16)}_${"b".repeat(16)}_${"c".repeat(43)}` }],
    ["the admin secret", { authorization: "Bearer admin-secret" }],
  ])("%s opens nothing", async (_, headers) => {
    const { status, body, headers: answer } = await provider.fetchJson("/v1/budget", { headers });
    expect([status, body.title]).toEqual([401, "Not authenticated"]);
    expect(answer.get("www-authenticate")).toBe("Bearer");
  });

  test("that differ in one character open nothing", async () => {
    const { key } = await provider.tenant();
    const other = key.slice(0, -1) + (key.endsWith("A") ? "B" : "A");
    expect((await provider.fetchJson("/v1/budget", { headers: { authorization: `Bearer ${other}` } })).status).toBe(
      401,
    );
  });

  test("that are guessed are soon answered with 429, and lock out nobody who has one", async () => {
    const { key } = await provider.tenant();
    const ask = async (address: string, bearer: string) => {
      const headers = { authorization: `Bearer ${bearer}`, "cf-connecting-ip": address };
      return provider.fetchJson("/v1/budget", { headers });
    };
    const guesses = await Promise.all(Array.from({ length: 60 }, () => ask("192.0.2.1", "guess")));
    expect(new Set(guesses.map(({ status }) => status))).toEqual(new Set([401, 429]));
    const late = guesses.find(({ status }) => status === 429)!;
    expect(late.headers.get("retry-after")).toBe("5");
    expect((await ask("192.0.2.2", "guess")).status).toBe(401);
    expect((await ask("192.0.2.1", key)).status).toBe(200);
    const same = { "cf-connecting-ip": "192.0.2.1" };
    const admin = { ...same, authorization: "Bearer admin-secret" };
    expect((await provider.fetchJson("/v1/admin/tenants", { headers: admin })).status).toBe(200);
    expect((await fetch(`${provider.url}/docs`, { headers: same })).status).toBe(200);
    expect((await ask("192.0.2.1", "guess")).status).toBe(429);
  });

  test("do what their scopes say", async () => {
    const reader = await provider.tenant({}, ["read"]);
    expect((await reader.get("/v1/budget")).status).toBe(200);
    expect((await reader.submit(uploadOf(promptOf(1)))).status).toBe(403);
    expect((await reader.get(`/v1/admin/tenants/${reader.id}/keys`)).status).toBe(403);
  });

  test("of a tenant's administrator administer that tenant only, and revoked keys are dead", async () => {
    const admin = await provider.tenant({}, ["admin", "read"]);
    const other = await provider.tenant();
    const { body } = await admin.get(`/v1/admin/tenants/${admin.id}/keys`);
    expect(JSON.stringify(body)).not.toContain(admin.key.slice(-43));
    expect((await admin.get(`/v1/admin/tenants/${other.id}/keys`)).status).toBe(403);
    expect((await admin.get("/v1/admin/tenants")).status).toBe(401);
    const path = `/v1/admin/tenants/${admin.id}/keys/${body.keys[0].id}?force=true`;
    const revoked = await fetch(provider.url + path, { method: "DELETE", headers: admin.headers });
    expect(revoked.status).toBe(204);
    expect((await admin.get("/v1/budget")).status).toBe(401);
  });

  test("of one tenant don't show another's transfers", async () => {
    const [one, two] = [await provider.tenant(), await provider.tenant()];
    const { body } = await one.submit(uploadOf(promptOf(1)));
    for (const path of ["", "/events", "/prompt/softpost.json"]) {
      expect((await two.get(`/v1/transfers/${body.id}${path}`)).status).toBe(404);
    }
    expect((await two.cancel(body.id)).status).toBe(404);
  });
});

describe("files of a student", () => {
  const path = "/v1/students/small/files/model.safetensors";
  const get = async (headers: Record<string, string>) => {
    const tenant = await provider.tenant();
    const response = await fetch(provider.url + path, { headers: { ...tenant.headers, ...headers } });
    return { response, bytes: new Uint8Array(await response.arrayBuffer()) };
  };

  test("come whole, with a strong ETag", async () => {
    const { response, bytes } = await get({});
    expect(response.status).toBe(200);
    expect(bytes).toEqual(STUDENT_FILE);
    expect(response.headers.get("etag")).toMatch(/^"[0-9a-f]{64}"$/);
    expect(response.headers.get("cache-control")).toContain("immutable");
  });

  test("come in ranges", async () => {
    const { response, bytes } = await get({ range: "bytes=9990-" });
    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe(`bytes 9990-9999/${STUDENT_FILE.length}`);
    expect(bytes).toEqual(STUDENT_FILE.subarray(9990));
    expect((await get({ range: "bytes=10000-" })).response.status).toBe(416);
    expect((await get({ range: "bytes=0-1", "if-range": '"other"' })).response.status).toBe(200);
  });

  test("don't come again when the client has them", async () => {
    const etag = (await get({})).response.headers.get("etag")!;
    expect((await get({ "if-none-match": etag })).response.status).toBe(304);
  });
});

describe("an upload's faults", () => {
  test("are all in one answer", async () => {
    const tenant = await provider.tenant();
    const { weights, manifest } = promptOf(1);
    const bad = {
      ...manifest,
      model: { ...manifest.model, architecture: "llama" },
      prompt: { ...manifest.prompt, virtualTokens: 99 },
    };
    const { status, body } = await tenant.submit(
      uploadOf({ weights, manifest: bad }, { ...OPTIONS, publicSet: "none" }),
    );
    expect(status).toBe(422);
    expect(body.faults.map(({ at }: { at: string }) => at).sort()).toEqual([
      "options#/publicSet",
      "softpost.json#/model/architecture",
      "softpost.json#/prompt/virtualTokens",
      "softpost.json#/prompt/virtualTokens",
    ]);
  });

  test("name a retired student and a row that is too long", async () => {
    const tenant = await provider.tenant();
    const { weights, manifest } = promptOf(1);
    const long = new Uint8Array(weights);
    new DataView(long.buffer).setFloat32(long.length - 4, 1e9, true);
    const model = { ...manifest.model, digest: (await tenant.get("/v1/students/old")).body.digest };
    const { body } = await tenant.submit(uploadOf({ weights: long, manifest: { ...manifest, model } }));
    const messages = body.faults.map(({ message }: { message: string }) => message).join(" ");
    expect(messages).toContain("retired");
    const { body: norm } = await tenant.submit(uploadOf({ weights: long, manifest }));
    expect(norm.faults.map(({ at }: { at: string }) => at)).toContain("adapter_model.safetensors, row 3");
  });

  test("include a privacy record that says less than the run gives", async () => {
    const tenant = await provider.tenant();
    const { weights, manifest } = promptOf(1, { privacy: { ...PRIVACY, epsilon: 0.5 } });
    const { status, body } = await tenant.submit(uploadOf({ weights, manifest }));
    expect(status).toBe(422);
    expect(body.faults[0].at).toBe("softpost.json#/privacy/epsilon");
  });
});

test("an address whose guesses Cloudflare's rate limiter has counted is refused, whatever the instance remembers", async () => {
  const bundle = await loadBundle();
  const config = bundle.config.replace("limit = 30, period = 60", "limit = 2, period = 60");
  const vars = { PEPPER: "pepper", ADMIN_SECRET: "x", CLIENT_ADDRESS_HEADER: "cf-connecting-ip" };
  const folder = temporaryFolder();
  const worker = await startWorker({ bundle: { ...bundle, config }, folder, port: 0, vars, credentials: CREDENTIALS });
  try {
    const ask = async (address: string) => {
      const headers = { authorization: "Bearer guess", "cf-connecting-ip": address };
      return (await fetch(`${worker.url}/v1/budget`, { headers })).status;
    };
    const statuses = [];
    for (let i = 0; i < 4; i++) statuses.push(await ask("192.0.2.7"));
    expect(statuses).toEqual([401, 401, 429, 429]);
    expect(await ask("192.0.2.8")).toBe(401);
  } finally {
    await worker.close();
  }
});

describe("privacy", () => {
  const limit = { privacy: { epsilon: 4, delta: 1e-5 } };

  test("of one data set composes over its prompts, and is refused past the limit", async () => {
    const tenant = await provider.tenant(limit);
    const submit = (seed: number, dataset: string) =>
      tenant.submit(uploadOf(promptOf(seed, { privacy: PRIVACY }), { ...OPTIONS, dataset }));
    const statuses: number[] = [];
    for (let seed = 0; seed < 5; seed++) statuses.push((await submit(seed, "mails")).status);
    // One has epsilon 1.83, four together 3.72 (where the sum would be 7.3), five 4.20.
    expect(statuses).toEqual([202, 202, 202, 202, 403]);
    // The same prompt again reveals nothing new, and another data set has its own budget.
    expect((await submit(0, "mails")).status).toBe(202);
    expect((await submit(9, "other")).status).toBe(202);
    const { body } = await tenant.get("/v1/budget");
    const [mails] = body.privacy.datasets;
    expect(mails).toMatchObject({ dataset: "mails", prompts: 4 });
    expect(mails.epsilon).toBeLessThanOrEqual(4);
  });

  test("of a prompt is its first record's: with a weaker one it is refused, under another data set's name too", async () => {
    for (const limits of [limit, {}]) {
      const tenant = await provider.tenant(limits);
      const record = (steps: number, epsilon: number) => ({ ...PRIVACY, epsilon, steps });
      const send = async (privacy: PrivacyRecord | null, dataset = "mails") => {
        const { status, body } = await tenant.submit(uploadOf(promptOf(1, { privacy }), { ...OPTIONS, dataset }));
        return [status, body.faults?.[0].at];
      };
      expect(await send(record(100, 1.5))).toEqual([202, undefined]);
      const before = (await tenant.get("/v1/budget")).body.privacy.datasets;
      for (const [privacy, dataset] of [
        [record(1000, 2.2)],
        [null],
        [record(100, 1.6)],
        [record(1000, 2.2), "other"],
      ] as const) {
        expect(await send(privacy, dataset)).toEqual([403, "budget/privacy"]);
        const quote = await tenant.quote(promptOf(1, { privacy }).manifest, {
          ...OPTIONS,
          dataset: dataset ?? "mails",
        });
        expect(quote.body.refusals[0].message).toContain("another privacy record");
      }
      expect((await tenant.get("/v1/budget")).body.privacy.datasets).toEqual(before);
      expect(await send(record(100, 1.5))).toEqual([202, undefined]);
    }
  });

  test("is about the unit that prompts name, and about the weakest where they name several", async () => {
    const tenant = await provider.tenant({ privacy: { epsilon: 4, delta: 1e-5 } });
    const ofUsers = { ...PRIVACY, unit: { field: "user", rowsPerUnit: 4 } };
    const send = async (seed: number, privacy: PrivacyRecord) =>
      (await tenant.submit(uploadOf(promptOf(seed, { privacy }), { ...OPTIONS, dataset: "mails" }))).status;
    const shown = async () => (await tenant.get("/v1/budget")).body.privacy.datasets[0];
    expect(await send(1, ofUsers)).toBe(202);
    expect(await shown()).toMatchObject({ unit: "all rows of one user" });
    const alone = (await shown()).epsilon;
    const quoted = async (privacy: PrivacyRecord) =>
      (await tenant.quote(promptOf(2, { privacy }).manifest, { ...OPTIONS, dataset: "mails" })).body;
    // An example's guarantee beside it leaves only one for examples, for whom the first run counts with twice the sensitivity.
    const [same, weakest] = [await quoted(ofUsers), await quoted(PRIVACY)];
    expect([same.privacyUnit, weakest.privacyUnit]).toEqual(["all rows of one user", "one row"]);
    expect(weakest.left.privacy).toBeLessThan(same.left.privacy);
    expect(await send(2, ofUsers)).toBe(202);
    expect(await shown()).toMatchObject({ prompts: 2, unit: "all rows of one user" });
    expect((await shown()).epsilon).toBeGreaterThan(alone);
  });

  test("of many different releases is what they compose to, from what was kept of the earlier ones, also where units differ", async () => {
    const tenant = await provider.tenant({ privacy: { epsilon: 100, delta: 1e-5 } });
    const runs: GaussianRun[] = [];
    const release = async (seed: number, unit?: PrivacyRecord["unit"]) => {
      const run = { sampleRate: 0.01, noiseMultiplier: 1 + seed / 10, steps: 500 };
      const privacy = { ...PRIVACY, ...run, ...(unit && { unit }) };
      const { status } = await tenant.submit(uploadOf(promptOf(seed, { privacy }), { ...OPTIONS, dataset: "many" }));
      expect(status).toBe(202);
      runs.push(run);
      return (await tenant.get("/v1/budget")).body.privacy.datasets[0];
    };
    let shown = { epsilon: 0, unit: "" };
    for (let seed = 0; seed < 7; seed++) {
      const before = shown.epsilon;
      shown = await release(seed);
      const { lower, upper } = epsilonBounds(runs, 1e-5);
      expect(shown.epsilon).toBeGreaterThanOrEqual(lower);
      expect(shown.epsilon).toBeLessThanOrEqual(upper * 1.002 + 1e-3);
      expect(shown.epsilon).toBeGreaterThan(before);
    }
    const mixed = await release(7, { field: "user", rowsPerUnit: 3 });
    const composed = runs.map((run, i) => (i < 7 ? run : { ...run, neighbouring: "replace-one" as const }));
    const { lower, upper } = epsilonBounds(composed, 1e-5);
    expect(mixed.unit).toBe("one row");
    expect(mixed.epsilon).toBeGreaterThanOrEqual(lower);
    expect(mixed.epsilon).toBeLessThanOrEqual(upper * 1.002 + 1e-3);
  });

  test("is told by a quote, to which the prompt isn't sent", async () => {
    const tenant = await provider.tenant(limit);
    const quote = (await tenant.quote(promptOf(1).manifest, OPTIONS)).body;
    expect(quote.refusals.map(({ budget }: { budget: string }) => budget)).toEqual(["privacy"]);
    expect((await tenant.submit(uploadOf(promptOf(1)))).status).toBe(403);
    expect((await tenant.get("/v1/budget")).body.privacy.datasets).toEqual([]);
  });
});

describe("the API", () => {
  test("describes itself as OpenAPI 3.1, and on a page that loads nothing from elsewhere", async () => {
    const { body } = await provider.fetchJson("/openapi.json");
    expect(body.openapi).toBe("3.1.0");
    expect(Object.keys(body.paths)).toContain("/v1/transfers/{id}/prompt/{file}");
    const page = await (await fetch(`${provider.url}/docs`)).text();
    expect(page).toContain("/v1/transfers");
    expect(page).not.toMatch(/(src|href)="https?:/);
  });

  test("answers only allowed origins", async () => {
    const origin = async (name: string) => (await fetch(`${provider.url}/docs`, { headers: { origin: name } })).headers;
    expect((await origin("https://console.example")).get("access-control-allow-origin")).toBe(
      "https://console.example",
    );
    expect((await origin("https://evil.example")).get("access-control-allow-origin")).toBeNull();
    expect((await origin("https://evil.example")).get("x-content-type-options")).toBe("nosniff");
  });
});

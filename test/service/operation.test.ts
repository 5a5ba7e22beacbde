/** Health, version, metrics and where a tenant stands with its rate limit. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { METRICS } from "../../edge/metrics/names.ts";
import { loadBundle } from "../../infra/local/bundle.ts";
import manifest from "../../package.json" with { type: "json" };
import { RELEASE } from "../../shared/protocol/version.ts";
import { type Provider, promptOf, startProvider, uploadOf } from "./provider.ts";

const ADMIN = { authorization: "Bearer admin-secret" };

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  await provider.define(["sleep", "60"]);
});

afterAll(() => provider.close());

/** Every line of `/metrics` by its series; anything else than Prometheus' text format fails. */
async function metrics(): Promise<Map<string, number>> {
  const response = await fetch(`${provider.url}/metrics`, { headers: ADMIN });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4"]);
  const found = new Map<string, number>();
  for (const line of (await response.text()).trimEnd().split("\n")) {
    if (/^# (HELP [a-z_]+ .+|TYPE [a-z_]+ (counter|gauge|histogram))$/.test(line)) continue;
    const [, series, value] =
      /^([a-z_]+(?:\{[a-z]+="[^"\n]*"(?:,[a-z]+="[^"\n]*")*\})?) (-?[\d.e+-]+)$/.exec(line) ?? [];
    expect(series, line).toBeDefined();
    expect(found.has(series!), `${series} is there twice`).toBe(false);
    found.set(series!, Number(value));
  }
  return found;
}

test("health names what can't be reached, and since when", async () => {
  const well = await provider.fetchJson("/healthz");
  expect([well.status, well.body.ok]).toEqual([200, true]);
  for (const part of ["ledger", "bucket", "batch"]) {
    expect(well.body[part]).toEqual({ ok: true, ageSeconds: expect.any(Number) });
  }
  provider.door.mode = "cut";
  let ill = well;
  // Answers are kept for some seconds.
  for (let i = 0; i < 40 && ill.status === 200; i++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    ill = await provider.fetchJson("/healthz");
  }
  provider.door.mode = "open";
  expect([ill.status, ill.body.ok, ill.body.ledger.ok, ill.body.bucket.ok, ill.body.batch.ok]).toEqual([
    ...[503, false, true, true, false],
  ]);
  expect(ill.body.batch.ageSeconds).toBeGreaterThan(2);
  expect(ill.headers.get("retry-after")).toBe("5");
});

test("the version is the release's", async () => {
  expect(RELEASE).toBe(manifest.version);
  const { body } = await provider.fetchJson("/version");
  expect(body).toEqual({ softpost: RELEASE, ledger: expect.any(Number) });
});

describe("metrics", () => {
  test("count transfers by state, refusals by reason, device seconds and requests", async () => {
    const before = await metrics();
    const tenant = await provider.tenant({ virtualTokens: 8 });
    const { body: one } = await tenant.submit(uploadOf(promptOf(1)));
    const { body: two } = await tenant.submit(uploadOf(promptOf(2)));
    expect((await tenant.submit(uploadOf(promptOf(3)))).status).toBe(402);
    expect((await tenant.get("/v1/transfers/x")).status).toBe(400);
    await provider.worker.reconcile();
    const during = await metrics();
    const grown = (series: string, now = during) => (now.get(series) ?? 0) - (before.get(series) ?? 0);
    expect(during.get('softpost_transfers{state="queued"}')! + during.get('softpost_transfers{state="running"}')!).toBe(
      2,
    );
    expect(during.get("softpost_scheduled_run_age_seconds")).toBeLessThan(60);
    expect(grown('softpost_refusals_total{reason="virtualTokens"}')).toBe(1);
    expect(grown('softpost_refusals_total{reason="the-request-is-not-valid"}')).toBe(1);
    expect(grown('softpost_requests_total{method="POST",route="/v1/transfers",status="202"}')).toBe(2);
    expect(grown('softpost_request_seconds_count{route="/v1/transfers"}')).toBe(3);
    expect(grown('softpost_request_seconds_bucket{route="/v1/transfers",le="+Inf"}')).toBe(3);

    const result = { files: [{ name: "x", size: 1, sha256: "a".repeat(64) }], deviceSeconds: 2.5, device: "CPU" };
    await provider.store.write(`jobs/${tenant.id}-${one.id}/result.json`, JSON.stringify(result));
    await tenant.cancel(one.id);
    await tenant.cancel(two.id);
    await tenant.cancel(two.id);
    await provider.worker.reconcile();
    const after = await metrics();
    expect(grown('softpost_transfers_ended_total{state="succeeded"}', after)).toBe(1);
    expect(grown('softpost_transfers_ended_total{state="cancelled"}', after)).toBe(1);
    expect(grown("softpost_device_seconds_total", after)).toBe(3);
    expect(after.get('softpost_transfers{state="queued"}')).toBe(0);
    expect(after.get("softpost_queue_age_seconds")).toBe(0);
    // Nobody and nothing of a tenant's is in it.
    const text = [...after.keys()].join("\n");
    for (const secret of [tenant.id, one.id, "set-1"]) expect(text).not.toContain(secret);
  });

  test("have no more series than there are routes, whatever is asked for", async () => {
    await fetch(`${provider.url}/`, { redirect: "manual" });
    await fetch(`${provider.url}/nothing/here`);
    const before = (await metrics()).size;
    for (let i = 0; i < 20; i++) await fetch(`${provider.url}/nothing/${i}?x=${i}`);
    expect((await metrics()).size).toBe(before);
  });

  test("are those of the dashboard, each of them", async () => {
    const file = new URL("../../infra/grafana/dashboard.json", import.meta.url);
    const dashboard = JSON.parse(readFileSync(file, "utf8"));
    const used = dashboard.panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
      targets.flatMap(({ expr }) => expr.match(/softpost_\w+/g) ?? []),
    );
    const names = used.map((name: string) => name.replace(/_bucket$/, ""));
    expect([...new Set(names)].sort()).toEqual(Object.keys(METRICS).sort());
  });
});

test("a tenant is told where it stands with its rate limit, on every answer to its key", async () => {
  const tenant = await provider.tenant();
  const left = async () => {
    const { headers } = await tenant.get("/v1/budget");
    expect(headers.get("ratelimit-policy")).toBe('"tenant";q=1000000;w=10');
    const [, remaining, reset] = /^"tenant";r=(\d+);t=(\d+)$/.exec(headers.get("ratelimit")!)!;
    return [Number(remaining), Number(reset)] as const;
  };
  const [remaining, reset] = await left();
  expect(remaining).toBeLessThan(1_000_000);
  expect(reset).toBeLessThanOrEqual(10);
  const { headers } = await tenant.get(`/v1/transfers/${"a".repeat(16)}`);
  expect(headers.get("ratelimit")).toMatch(/^"tenant";r=/);
});

test("whoever has used up a day's transfers is told to come back at midnight", async () => {
  const tenant = await provider.tenant({ daily: 0 });
  const { status, headers } = await tenant.submit(uploadOf(promptOf(1)));
  const untilMidnight = (86_400_000 - (Date.now() % 86_400_000)) / 1000;
  expect(status).toBe(429);
  expect(Math.abs(Number(headers.get("retry-after")) - untilMidnight)).toBeLessThan(30);
  const busy = await provider.tenant({ concurrent: 0 });
  expect((await busy.submit(uploadOf(promptOf(1)))).headers.get("retry-after")).toBe("60");
});

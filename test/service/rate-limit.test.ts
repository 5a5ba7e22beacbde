import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import type { PrivacyRecord } from "../../shared/protocol/manifest.ts";
import { OPTIONS, PRIVACY, type Provider, promptOf, startProvider } from "./provider.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle(), undefined, { RATE_PER_SECOND: "2" });
});

afterAll(() => provider.close());

test("a quote that composes what was released counts as a second's requests, so that a key that only reads can't keep the ledger busy", async () => {
  const quotes = async (privacy: PrivacyRecord | null) => {
    const tenant = await provider.tenant({ privacy: { epsilon: 10, delta: 1e-5 } }, ["read"]);
    const { manifest } = promptOf(1, { privacy });
    return Promise.all(Array.from({ length: 12 }, () => tenant.quote(manifest, OPTIONS)));
  };
  expect(new Set((await quotes(null)).map(({ status }) => status))).toEqual(new Set([200]));
  const answers = await quotes(PRIVACY);
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
  const { headers, body } = answers.find(({ status }) => status === 429)!;
  expect(body.title).toBe("Too many requests");
  expect(Number(headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect(headers.get("ratelimit")).toMatch(/^"tenant";r=\d+;t=\d+$/);
});

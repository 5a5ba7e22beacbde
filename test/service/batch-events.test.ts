import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import { type Provider, promptOf, startProvider, uploadOf } from "./provider.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
});

afterAll(() => provider.close());

const post = (body: unknown, secret = "events-secret") =>
  fetch(`${provider.url}/internal/batch/events`, {
    method: "POST",
    headers: { "x-softpost-events": secret, "content-type": "application/json" },
    body: JSON.stringify(body),
  }).then(({ status }) => status);

test("AWS's word that a job ended settles it at once, however often it comes", async () => {
  await provider.define(["true"]);
  const tenant = await provider.tenant();
  const { body } = await tenant.submit(uploadOf(promptOf(1)));
  const job = `${tenant.id}-${body.id}`;
  const file = { name: "softpost.json", size: 2, sha256: "0".repeat(64) };
  await provider.store.write(bucket.job(job) + jobFiles.result, JSON.stringify({ files: [file], deviceSeconds: 1.5 }));
  const state = async () => {
    expect(await post({ job })).toBe(204);
    return (await tenant.get(`/v1/transfers/${body.id}`)).body.state;
  };
  await expect.poll(state, { timeout: 120_000 }).toBe("succeeded");
  expect(await state()).toBe("succeeded");
  expect(await tenant.ledgerAddsUp()).toBe(true);
});

test("a job of nobody's is passed over", async () => {
  expect(await post({ job: "a-distillation" })).toBe(204);
});

test("who doesn't know the secret, or sends something else, gets nowhere", async () => {
  expect(await post({ job: "a" }, "wrong")).toBe(401);
  expect(await post({ job: "a" }, "")).toBe(401);
  expect(await post({ job: "a", more: 1 })).toBe(422);
  expect(await post({ job: "a".repeat(2000) })).toBe(413);
});

/** How a job ends that crashes, that can't reach its storage, and two attempts of which one was faster. */

import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Handlers } from "../../../batch/lifecycle/attempt.ts";
import { Engines } from "../../../batch/lifecycle/engines.ts";
import { runOne, type Start } from "../../../batch/lifecycle/run-job.ts";
import { Models } from "../../../batch/storage/models.ts";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { bucket, jobFiles } from "../../../shared/protocol/bucket.ts";
import { type JobEvent, type PredictSpec, resultSchema } from "../../../shared/protocol/job.ts";
import { type Provider, startProvider } from "../../service/provider.ts";

let provider: Provider;
let engines: Engines;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  engines = new Engines({ threads: 1, device: "cpu" });
});

afterAll(async () => {
  await engines.close();
  await provider.close();
});

const startWith = (predict: Handlers["predict"]): Start => ({
  store: provider.store,
  models: new Models(provider.store, mkdtempSync(join(tmpdir(), "models-"))),
  engines,
  handlers: { predict } as Handlers,
  checkpointSeconds: undefined,
  capacity: undefined,
  deviceName: "NVIDIA L4",
  signal: new AbortController().signal,
  id: "runner",
  attempt: 1,
  edge: undefined,
});
const specOf = (job: string) => ({ kind: "predict", job }) as PredictSpec;

test("a job that crashes is tried again twice, and then has failed", async () => {
  const start = startWith(async () => {
    throw new Error("a fault of ours");
  });
  const outcomes = [];
  for (let i = 0; i < 3; i++) outcomes.push(await runOne(specOf("crashing"), start));
  expect(outcomes).toEqual(["crashed", "crashed", "failed"]);
});

test("a job without a lease reports which of Batch's attempts it is, so that what an earlier one said is older", async () => {
  const reports: JobEvent[] = [];
  const edge = createServer(async (request, response) => {
    reports.push((await json(request)) as JobEvent);
    response.writeHead(204).end();
  });
  await new Promise<void>((resolve) => edge.listen(0, "127.0.0.1", resolve));
  const report = { url: "http://elsewhere/internal/jobs/again/events", token: "token" };
  const at = `http://127.0.0.1:${(edge.address() as AddressInfo).port}`;
  const run = (attempt: number) =>
    runOne({ ...specOf("again"), report }, { ...startWith(async () => undefined), attempt, edge: at });
  await run(1);
  await run(2);
  edge.close();
  expect(reports.filter(({ state }) => state === "succeeded").map(({ attempt }) => attempt)).toEqual([1, 2]);
});

test("storage out of reach is no crash, however often", async () => {
  const start = startWith(async () => {
    throw Object.assign(new Error("busy"), { $metadata: { httpStatusCode: 503 } });
  });
  for (let i = 0; i < 4; i++) expect(await runOne(specOf("unreachable"), start)).toBe("unreachable");
  expect(await provider.store.has(bucket.job("unreachable") + jobFiles.crashes)).toBe(false);
});

test("of two attempts with other bits one counts, whole, and nothing of the other stays", async () => {
  let waiting = 0;
  let release = () => {};
  const both = new Promise<void>((resolve) => {
    release = resolve;
  });
  const attempt = (bits: string) =>
    runOne(
      specOf("twice"),
      startWith(async (_, { output }) => {
        for (const name of ["a", "b"]) writeFileSync(join(output, name), `${name} ${bits}`);
        if (++waiting === 2) release();
        await both;
        return undefined;
      }),
    );
  expect(await Promise.all([attempt("one"), attempt("other")])).toEqual(["done", "done"]);
  const folder = bucket.job("twice");
  const result = resultSchema.parse(await provider.store.readJson(folder + jobFiles.result));
  expect(result).toMatchObject({ device: "NVIDIA L4", precision: "fp32" });
  const text = async (name: string) =>
    new TextDecoder().decode(await provider.store.need(folder + jobFiles.output + result.folder + name));
  expect((await text("a")).slice(2)).toBe((await text("b")).slice(2));
  const kept = await provider.store.list(folder + jobFiles.output);
  expect(kept).toEqual(["a", "b"].map((name) => folder + jobFiles.output + result.folder + name));
});

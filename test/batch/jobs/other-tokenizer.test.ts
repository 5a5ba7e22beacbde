import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../../infra/local/bundle.ts";
import { hashModel } from "../../../shared/data/model-files.ts";
import { bucket, jobFiles } from "../../../shared/protocol/bucket.ts";
import type { TransferSpec } from "../../../shared/protocol/job.ts";
import { withSwappedTokens } from "../../helpers/swapped-tokenizer.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";
import { type Provider, startProvider } from "../../service/provider.ts";
import { transferJobs } from "../transfer-jobs.ts";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider(await loadBundle());
});
afterAll(() => provider.close());

test("a job refuses a student whose tokenizer isn't the target's", async () => {
  const { store } = provider;
  const jobs = await transferJobs(provider, temporaryFolder());
  await jobs.put("swapped", {});
  const folder = withSwappedTokens("Ġbad", "Ġgood");
  const student = { id: "swapped", ...(await hashModel(folder)) };
  for (const { name } of student.files) await store.upload(join(folder, name), bucket.model(student.digest) + name);
  const key = bucket.job("swapped") + jobFiles.spec;
  const spec = (await store.readJson(key)) as TransferSpec;
  await store.write(key, JSON.stringify({ ...spec, student }));
  const { log } = await jobs.run("swapped");
  expect(log).toContainEqual(
    expect.objectContaining({
      event: "failed",
      problem: expect.stringMatching(/student's tokenizer is not the target's/),
    }),
  );
});

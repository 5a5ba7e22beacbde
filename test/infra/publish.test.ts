import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import { catalogueSchema } from "../../shared/protocol/catalogue.ts";
import { fixture } from "../helpers/fixtures.ts";
import { withSwappedTokens } from "../helpers/swapped-tokenizer.ts";
import { CREDENTIALS, type Provider, startProvider } from "../service/provider.ts";

const PROGRAM = fileURLToPath(new URL("../../infra/publish.ts", import.meta.url));
let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
});

afterAll(() => provider.close());

const publish = (...args: string[]) =>
  promisify(execFile)(process.execPath, [PROGRAM, ...args], {
    env: {
      ...process.env,
      SOFTPOST_BUCKET: provider.worker.bucketName,
      SOFTPOST_S3_ENDPOINT: provider.worker.s3,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    },
  });

test("a model, its student and public texts are in the bucket and on offer", async () => {
  const model = fixture("tiny-gpt2");
  const { stdout } = await publish(
    ...["--target", model, "--student", model, "--public", fixture("tiny-task/test.jsonl")],
  );
  expect(stdout).toMatch(/^student tiny-gpt2 [0-9a-f]{64}\npublic set test with \d+ texts\n$/);
  const { students, publicSets } = catalogueSchema.parse(await provider.store.readJson(bucket.catalogue));
  const student = students.find(({ id }) => id === "tiny-gpt2")!;
  expect(publicSets.map(({ id }) => id)).toContain("test");
  for (const { name } of student.files)
    expect(await provider.store.has(bucket.model(student.digest) + name)).toBe(true);
});

test("a student whose tokenizer isn't the target's is refused", async () => {
  const student = withSwappedTokens("Ġbad", "Ġgood");
  const stderr = expect.stringMatching(/The student's tokenizer is not the target's/);
  await expect(publish("--target", fixture("tiny-gpt2"), "--student", student)).rejects.toMatchObject({
    code: 1,
    stderr,
  });
});

test("half of a pair is refused", async () => {
  await expect(publish("--target", "x")).rejects.toMatchObject({ code: 1, stderr: /given together/ });
});

test("a student is taken out of service", async () => {
  expect((await publish("--retire", "small")).stdout).toBe("student small is retired\n");
  const { students } = catalogueSchema.parse(await provider.store.readJson(bucket.catalogue));
  expect(students.find(({ id }) => id === "small")?.retired).toBe(true);
  await expect(publish("--retire", "nobody")).rejects.toMatchObject({ code: 1, stderr: /no such student/ });
});

/** Which target a process serves, and where it has it from. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { hashModel } from "../../shared/data/model-files.ts";
import { bucket } from "../../shared/protocol/bucket.ts";
import { fixture } from "../helpers/fixtures.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { CREDENTIALS, catalogue, type Provider, startProvider } from "../service/provider.ts";

const MAIN = fileURLToPath(new URL("../../serving/main.ts", import.meta.url));
const MODEL = fixture("tiny-gpt2");
let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  const { digest, files } = await hashModel(MODEL);
  const [student] = catalogue.students;
  const own = { ...student!, target: { ...student!.target, id: "tiny", digest, files } };
  await provider.store.write(bucket.catalogue, JSON.stringify({ ...catalogue, students: [student, own] }));
  for (const { name } of files)
    await provider.store.write(bucket.model(digest) + name, readFileSync(join(MODEL, name)));
});
afterAll(() => provider.close());

/** Runs `fetch`; the bucket is in this process, so it doesn't wait for the other. */
function fetchTarget(target: string, folder: string): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [MAIN, "fetch", join(folder, "served")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      PATH: process.env.PATH,
      SERVING_SECRET: "a secret of tests",
      SERVING_TARGET: target,
      SERVING_STATE: join(folder, "state"),
      REPORT_URL: "http://127.0.0.1:1/",
      SOFTPOST_BUCKET: provider.worker.bucketName,
      SOFTPOST_S3_ENDPOINT: provider.worker.s3,
      SOFTPOST_CACHE: join(folder, "models"),
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    },
  });
  let output = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, output })));
}

test("the catalogue's target is downloaded, and linked to for another server, again and again", async () => {
  const folder = temporaryFolder();
  for (let i = 0; i < 2; i++) {
    const { code, output } = await fetchTarget("tiny", folder);
    expect(code, output).toBe(0);
    const { digest } = await hashModel(MODEL);
    expect(realpathSync(join(folder, "served"))).toBe(realpathSync(join(folder, "models", digest)));
    expect(readdirSync(join(folder, "served")).sort()).toEqual((await hashModel(MODEL)).files.map(({ name }) => name));
  }
});

test("a target that isn't there is said, with those that are", async () => {
  const { code, output } = await fetchTarget("tinny", temporaryFolder());
  expect([code, output]).toEqual([
    2,
    expect.stringContaining("SERVING_TARGET is tinny; the catalogue has large, tiny"),
  ]);
});

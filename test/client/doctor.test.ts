import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { softpost } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";
import { type Provider, startProvider } from "../service/provider.ts";

let provider: Provider;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
});

afterAll(() => provider.close());
afterEach(() => vi.unstubAllEnvs());

const nowhere = ["--config", "/nowhere/config.json"];

test("a machine without a provider is well, and says what it has", async () => {
  vi.stubEnv("SOFTPOST_HOME", join(temporaryFolder(), "home"));
  const { code, stdout, stderr } = await softpost("doctor", ...nowhere);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/^node +ok +\d+\./m);
  expect(stdout).toMatch(/^runtime +ok +ONNX Runtime computes/m);
  expect(stdout).toMatch(/^provider +- +Set SOFTPOST_URL/m);
  expect(stdout).toMatch(/^size +ok +(\d+\.\d MB of the installation are|nothing is installed) for other platforms/m);
  expect((await softpost("doctor", "--remove-other-platforms")).stderr).toMatch(/is a checkout/);
});

test("a provider is reached with the key, and what the key may do is said", async () => {
  vi.stubEnv("SOFTPOST_HOME", temporaryFolder());
  const { key } = await provider.tenant();
  const { code, stdout, stderr } = await softpost("--json", "doctor", "--url", provider.worker.url, "--key", key);
  expect(code, stderr).toBe(0);
  const { findings } = JSON.parse(stdout);
  const of = (name: string) => findings.find(({ what }: { what: string }) => what === name);
  expect(of("provider")).toMatchObject({ state: "ok", says: provider.worker.url });
  expect(of("key").says).toMatch(/^may read/);
  expect(stdout).not.toContain(key);
});

test("what is to be mended is named, and the command ends with 1", async () => {
  const file = temporaryFile("home", "");
  vi.stubEnv("SOFTPOST_HOME", join(file, "home"));
  const away = await softpost("doctor", "--url", "http://127.0.0.1:1", "--key", "x");
  expect(away.code).toBe(1);
  expect(away.stderr).toMatch(/home.*ENOTDIR/);
  expect(away.stderr).toMatch(/provider.*can't be reached/);
  const home = temporaryFolder();
  mkdirSync(join(home, "inner"));
  vi.stubEnv("SOFTPOST_HOME", home);
  const wrong = await softpost("doctor", "--url", provider.worker.url, "--key", "wrong");
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toMatch(/Not authenticated/);
});

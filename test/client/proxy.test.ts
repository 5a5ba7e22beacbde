import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { Bucket } from "../../batch/storage/bucket.ts";
import { fixture } from "../helpers/fixtures.ts";
import { startHub } from "../helpers/hub.ts";
import { startProxy } from "../helpers/proxy.ts";
import { softpostProcess } from "../helpers/softpost.ts";

afterEach(() => vi.unstubAllEnvs());

/** The environment of a machine that reaches others by this proxy alone. */
function behind(variable: string, proxy: string): void {
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]) {
    for (const form of [name, name.toLowerCase()]) vi.stubEnv(form, undefined);
  }
  vi.stubEnv(variable, proxy);
}

const task = ["--task", fixture("tiny-task/task.json"), "--data", fixture("tiny-task/test.jsonl"), "--json"];

async function tinyHub() {
  const folder = fixture("tiny-gpt2");
  const { hub } = await startHub(() =>
    Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))])),
  );
  vi.stubEnv("HF_HUB_CACHE", hub.cache);
  return hub;
}

test("a model comes by the proxy", async () => {
  const hub = await tinyHub();
  const proxy = await startProxy(hub.endpoint);
  behind("http_proxy", proxy.url.replace("//", "//me:secret@"));
  vi.stubEnv("HF_ENDPOINT", "http://hub.example");
  const { code, stderr } = await softpostProcess(["evaluate", "--model", "org/tiny", ...task]);
  expect(code, stderr).toBe(0);
  expect(proxy.asked[0]).toMatch(/^GET http:\/\/hub\.example\/api\/models\/org\/tiny\/revision\/main/);
  // The redirect to where large files lie, too.
  expect(proxy.asked.some((asked) => /^GET http:\/\/hub\.example\/store\/\w+\/model\.safetensors/.test(asked))).toBe(
    true,
  );
  expect(new Set(proxy.authorizations)).toEqual(new Set([`Basic ${btoa("me:secret")}`]));
});

test("what is on this machine doesn't", async () => {
  const hub = await tinyHub();
  const proxy = await startProxy();
  behind("HTTP_PROXY", proxy.url);
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  const { code, stderr } = await softpostProcess(["evaluate", "--model", "org/tiny", ...task]);
  expect(code, stderr).toBe(0);
  expect(proxy.asked).toEqual([]);
});

test("a provider is reached through a tunnel; a refusal names the proxy", async () => {
  const proxy = await startProxy();
  behind("HTTPS_PROXY", proxy.url.replace("//", "//me:secret@"));
  const { code, stderr } = await softpostProcess(["budget", "--url", "https://provider.example", "--key", "k"]);
  expect(code).toBe(1);
  expect(proxy.asked).toEqual(["CONNECT provider.example:443"]);
  expect(stderr).toContain(`by way of the proxy ${new URL(proxy.url).host} of HTTPS_PROXY`);
  expect(stderr).not.toContain("secret");
});

test("a proxy that can't be used is a fault of its own", async () => {
  behind("HTTPS_PROXY", "socks5://proxy.example");
  const { code, stderr } = await softpostProcess(["budget", "--url", "https://provider.example", "--key", "k"]);
  expect([code, stderr]).toEqual([1, expect.stringMatching(/The proxy of HTTPS_PROXY can't be used/)]);
});

test("a job reaches its bucket by the proxy", async () => {
  const credentials = { accessKeyId: "a", secretAccessKey: "b" };
  const secure = await startProxy();
  behind("HTTPS_PROXY", secure.url);
  const far = new Bucket({ name: "softpost", endpoint: "https://bucket.example", credentials });
  await expect(far.has("x")).rejects.toThrow();
  expect(new Set(secure.asked)).toEqual(new Set(["CONNECT bucket.example:443"]));

  const plain = await startProxy();
  behind("HTTP_PROXY", plain.url);
  const http = new Bucket({ name: "softpost", endpoint: "http://bucket.example", credentials });
  await expect(http.has("x")).rejects.toThrow();
  expect(plain.asked[0]).toMatch(/^HEAD http:\/\/bucket\.example\/softpost\/x/);
  vi.stubEnv("NO_PROXY", "bucket.example");
  const count = plain.asked.length;
  await expect(http.has("x")).rejects.toThrow(/ENOTFOUND|EAI_AGAIN/);
  expect(plain.asked.length).toBe(count);
});

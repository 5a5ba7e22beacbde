import { chmodSync } from "node:fs";
import { expect, test } from "vitest";
import { connect } from "../../../client/api/connection.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFile } from "../../helpers/temporary.ts";

const CONFIG = JSON.stringify({
  profiles: { default: { url: "https://one.example/", key: "k1" }, two: { url: "https://two.example", key: "k2" } },
});

function configFile(mode = 0o600, content = CONFIG): string {
  const path = temporaryFile("config.json", content);
  chmodSync(path, mode);
  return path;
}

test("flags come before the environment, and that before the config file", async () => {
  const config = configFile();
  const env = { SOFTPOST_URL: "https://env.example", SOFTPOST_KEY: "k-env" };
  const flags = { url: "https://flag.example/api/", key: "k-flag" };
  expect(await connect({ profile: "default", config }, {})).toEqual({ url: "https://one.example", key: "k1" });
  expect(await connect({ profile: "two", config }, {})).toEqual({ url: "https://two.example", key: "k2" });
  expect(await connect({ profile: "default", config }, env)).toEqual({ url: "https://env.example", key: "k-env" });
  expect(await connect({ profile: "default", ...flags }, env)).toEqual({
    url: "https://flag.example/api",
    key: "k-flag",
  });
  expect(await connect({ profile: "two", key: "k-flag", config }, {})).toEqual({
    url: "https://two.example",
    key: "k-flag",
  });
});

test.skipIf(process.platform === "win32")("a config file that others may read is refused", async () => {
  expect(await rejection(connect({ profile: "default", config: configFile(0o644) }, {}))).toContain("chmod 600");
});

test("what is missing or wrong is named", async () => {
  expect(await rejection(connect({ profile: "none", config: configFile() }, {}))).toContain('has no profile "none"');
  expect(await rejection(connect({ profile: "default", config: "/no/such/file" }, {}))).toContain("SOFTPOST_URL");
  const config = configFile(0o600, '{"profiles": {"default": {"url": "https://a.example"}}}');
  expect(await rejection(connect({ profile: "default", config }, {}))).toContain("#/profiles/default/key");
});

test.each(["http://provider.example", "ftp://127.0.0.1", "nonsense"])("a key is not sent to %s", async (url) => {
  expect(await rejection(connect({ profile: "default", url, key: "k" }, {}))).toContain("must be an https address");
});

test.each(["http://127.0.0.1:8787", "http://localhost:8787", "http://[::1]:8787"])(
  "%s stays on this machine",
  async (url) => {
    expect((await connect({ profile: "default", url, key: "k" }, {})).url).toBe(url);
  },
);

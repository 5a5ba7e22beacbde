import { describe, expect, test } from "vitest";
import { byWayOf, proxyOf } from "../../../shared/data/proxy.ts";
import { problem } from "../../helpers/problem.ts";

const ENV = { HTTPS_PROXY: "http://secure.example:1", HTTP_PROXY: "http://plain.example:2" };
const by = (address: string, more: Record<string, string> = {}) => proxyOf(address, { ...ENV, ...more })?.url.host;

test("each scheme has its variable, in small letters or capitals; ALL_PROXY stands in for both", () => {
  expect(by("https://a.org")).toBe("secure.example:1");
  expect(by("http://a.org")).toBe("plain.example:2");
  expect(by("https://a.org", { https_proxy: "http://small.example:3" })).toBe("small.example:3");
  expect(proxyOf("https://a.org", { HTTP_PROXY: "http://plain.example" })).toBeUndefined();
  expect(proxyOf("https://a.org", { ALL_PROXY: "http://all.example" })?.variable).toBe("ALL_PROXY");
  expect(proxyOf("https://a.org", { HTTPS_PROXY: "", ALL_PROXY: "http://all.example" })).toBeUndefined();
  expect(proxyOf("https://a.org", {})).toBeUndefined();
  // As curl takes it.
  expect(proxyOf("https://a.org", { HTTPS_PROXY: "proxy.example:3128" })?.url.href).toBe("http://proxy.example:3128/");
});

test.each([
  "http://localhost:8080",
  "http://a.localhost",
  "http://127.0.0.1",
  "http://127.8.9.10:99",
  "http://127.1",
  "http://[::1]:3",
  "http://[::ffff:127.0.0.1]",
  "http://0.0.0.0:80",
  "https://LOCALHOST",
])("%s is this machine, which no proxy reaches", (address) => {
  expect(by(address)).toBeUndefined();
});

describe("NO_PROXY", () => {
  // The rules of curl (CURLOPT_NOPROXY), npm and requests.
  test.each([
    ["*", "https://a.org", true],
    ["a.org", "https://a.org", true],
    ["a.org", "https://b.a.org", true],
    ["a.org", "https://ba.org", false],
    [".a.org", "https://b.a.org", true],
    [".a.org", "https://a.org", true],
    ["*.a.org", "https://c.b.a.org", true],
    ["A.ORG", "https://a.org", true],
    ["x.org, a.org", "https://a.org", true],
    ["x.org  a.org", "https://a.org", true],
    ["a.org:443", "https://a.org", true],
    ["a.org:8443", "https://a.org", false],
    ["a.org:8443", "https://a.org:8443", true],
    ["a.org:80", "http://a.org", true],
    ["10.1.2.3", "http://10.1.2.3:9000", true],
    ["10.0.0.0/8", "http://10.1.2.3", true],
    ["10.0.0.0/8", "http://11.1.2.3", false],
    ["10.0.0.0/99", "http://10.0.0.0", true],
    ["fd00::/8", "http://[fd12::1]", true],
    ["[fd12::1]", "http://[fd12:0::1]", true],
    ["fd12::1", "http://[fd12::1]:80", true],
    ["[fd12::1]:81", "http://[fd12::1]", false],
    ["2.3", "http://10.1.2.3", false],
    ["", "https://a.org", false],
    [",", "https://a.org", false],
  ])("%s and %s", (exceptions, address, excepted) => {
    expect(by(address, { NO_PROXY: exceptions }) === undefined).toBe(excepted);
    expect(by(address, { no_proxy: exceptions, NO_PROXY: "other" }) === undefined).toBe(excepted);
  });
});

test("what is no http proxy is refused, and no password is shown", () => {
  const refused = (value: string) => problem(() => proxyOf("https://a.org", { HTTPS_PROXY: value }));
  expect(refused("socks5://me:secret@proxy.example")).toBe(
    "The proxy of HTTPS_PROXY can't be used: It names one of the kind socks5; an http or https proxy is needed, such as http://proxy.example:3128.",
  );
  expect(refused("http://me:secret@")).not.toContain("secret");
  expect(byWayOf("https://a.org", { https_proxy: "http://me:secret@proxy.example:3128" })).toBe(
    ", by way of the proxy proxy.example:3128 of https_proxy",
  );
});

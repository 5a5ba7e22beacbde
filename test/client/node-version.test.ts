import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import semver from "semver";
import { expect, test } from "vitest";
import { NODE_NEEDED, tooOld } from "../../client/node-version.ts";
import lock from "../../package-lock.json" with { type: "json" };

test.each([
  ["18.20.4", true],
  ["20.19.0", true],
  ["22.17.1", true],
  ["22.18.0", false],
  ["23.0.0", false],
  ["24.21.0", false],
])("Node %s is too old: %s", (version, old) => {
  expect(tooOld(version) !== undefined).toBe(old);
});

test("an older Node gets one line that says what to do, and no stack", async () => {
  const main = fileURLToPath(new URL("../../client/main.ts", import.meta.url));
  const versions = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.19.0" } });`;
  const args = ["--import", `data:text/javascript,${encodeURIComponent(versions)}`, main, "--help"];
  const failed = await promisify(execFile)(process.execPath, args).catch((error) => error);
  expect(failed).toMatchObject({ code: 1, stdout: "" });
  expect(failed.stderr).toMatch(
    /^softpost needs Node 22\.18 or newer; this is Node 20\.19\.0\. .*npx --package node@24.*\n$/,
  );
});

test("npm has nothing to say of a package on Node 20: what is needed is said in one line", () => {
  type Locked = {
    readonly dev?: boolean;
    readonly devOptional?: boolean;
    readonly engines?: { readonly node?: string };
  };
  const installed = Object.entries(lock.packages as Record<string, Locked>).filter(
    ([path, { dev, devOptional }]) => !dev && !devOptional && path !== "infra/node",
  );
  expect(installed.length).toBeGreaterThan(50);
  const warned = installed.filter(([, { engines }]) => engines?.node && !semver.satisfies("20.19.0", engines.node));
  expect(warned.map(([path]) => path)).toEqual([]);
  expect(semver.satisfies(`${NODE_NEEDED}.0`, lock.packages[""].engines.node)).toBe(true);
});

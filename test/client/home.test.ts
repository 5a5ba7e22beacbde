import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { softpostHome } from "../../client/home.ts";
import { softpost } from "../helpers/softpost.ts";

afterEach(() => vi.unstubAllEnvs());

test.each([undefined, ""])("SOFTPOST_HOME %j is the home folder's", (value) => {
  vi.stubEnv("SOFTPOST_HOME", value);
  expect(softpostHome()).toBe(join(homedir(), ".softpost"));
});

test("an absolute SOFTPOST_HOME is taken as it is, a relative one refused with what it would be here", async () => {
  vi.stubEnv("SOFTPOST_HOME", resolve("/somewhere"));
  expect(softpostHome()).toBe(resolve("/somewhere"));
  for (const relative of ["ledgers", "./ledgers", "."]) {
    vi.stubEnv("SOFTPOST_HOME", relative);
    expect(softpostHome).toThrow(
      `SOFTPOST_HOME is "${relative}". Give it from the root on, such as ${resolve(relative)}`,
    );
  }
  const { code, stderr } = await softpost("privacy", "ledger");
  expect(code).toBe(1);
  expect(stderr).toMatch(/SOFTPOST_HOME is a relative path/);
});

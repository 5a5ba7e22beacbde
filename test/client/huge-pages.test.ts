import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { HUGE_PAGES } from "../../client/huge-pages.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Says how it was started, once it has called the function. */
const PROGRAM = `
import { readFileSync } from "node:fs";
import { useHugePages } from ${JSON.stringify(`${root}/client/huge-pages.ts`)};
useHugePages();
const { argv, execArgv, env, pid } = process;
console.log(JSON.stringify({ args: argv.slice(1), execArgv, tunables: env.GLIBC_TUNABLES, other: env.OTHER, pid, read: readFileSync(0, "utf8") }));
process.exitCode = 3;
`;

async function start(environment: Readonly<Record<string, string>>) {
  const { GLIBC_TUNABLES: _, ...inherited } = process.env;
  const flags = ["--no-warnings", "--input-type=module", "--eval", PROGRAM];
  const running = promisify(execFile)(process.execPath, [...flags, "--", "a b", "ü"], {
    env: { ...inherited, ...environment },
  });
  running.child.stdin!.end("from a pipe");
  const failed = await running.catch((error) => error);
  expect(failed).toMatchObject({ code: 3, stderr: "" });
  return { ...JSON.parse(failed.stdout), started: running.child.pid };
}

test.runIf(process.platform === "linux")(
  "a program starts anew in its place: with its arguments, flags, environment, standard input and exit code",
  async () => {
    const { pid, started, ...rest } = await start({ OTHER: "kept" });
    expect(pid).toBe(started);
    expect(rest).toEqual({
      args: ["a b", "ü"],
      execArgv: ["--no-warnings", "--input-type=module", "--eval", PROGRAM],
      tunables: HUGE_PAGES,
      other: "kept",
      read: "from a pipe",
    });
  },
);

test.each(["glibc.malloc.check=0", ""])("what somebody has set is left as it is: %j", async (tunables) => {
  expect(await start({ GLIBC_TUNABLES: tunables })).toMatchObject({ tunables });
});

test.each(["batch/Dockerfile", "serving/Dockerfile", "docs/library.md"])("%s says the same", (file) => {
  expect(readFileSync(`${root}/${file}`, "utf8")).toContain(`GLIBC_TUNABLES=${HUGE_PAGES}`);
});

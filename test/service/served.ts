import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Bucket } from "../../batch/storage/bucket.ts";

const MAIN = fileURLToPath(new URL("../../client/main.ts", import.meta.url));

/** `softpost serve` as a process of its own. */
export interface Served {
  readonly url: string;
  readonly key: string;
  readonly store: Bucket;
  readonly folder: string;
  readonly pid: number;
  /** All that it printed when it was ready. */
  readonly result: Readonly<Record<string, unknown>>;
  end(signal: NodeJS.Signals): Promise<number | null>;
}

export async function serve(folder: string, ...args: string[]): Promise<Served> {
  const child = spawn(process.execPath, [MAIN, "serve", "--dir", folder, "--json", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const result = JSON.parse(await firstLine(child));
  if (result.error) throw new Error(JSON.stringify(result.error));
  const { url, key } = result;
  const { accessKeyId, secretAccessKey } = JSON.parse(readFileSync(join(folder, "provider.json"), "utf8"));
  const credentials = { accessKeyId, secretAccessKey };
  return {
    url,
    key,
    folder,
    pid: child.pid!,
    result,
    store: new Bucket({ name: "softpost", endpoint: `${url}/cdn-cgi/local/r2/s3`, credentials }),
    end: (signal) =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve(child.exitCode);
        child.once("exit", resolve);
        child.kill(signal);
      }),
  };
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) resolve(text.split("\n")[0]!);
    });
    child.once("exit", (code) => reject(new Error(`softpost serve ended with ${code}`)));
  });
}

/** The id of the serving process that a provider has started. */
export function servingProcess({ pid }: Served): number | undefined {
  const listed = execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
  const line = listed.split("\n").find((each) => {
    const [, parent, ...args] = each.trim().split(/\s+/);
    return Number(parent) === pid && args.join(" ").includes("serving/main.ts");
  });
  return line === undefined ? undefined : Number(line.trim().split(/\s+/)[0]);
}

/** Runs the command line as a client, in a process of its own. */
export function client(
  args: readonly string[],
  {
    url,
    key,
    env = {},
    nodeArgs = [],
  }: { url: string; key: string; env?: Record<string, string>; nodeArgs?: string[] },
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...nodeArgs, MAIN, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env, SOFTPOST_URL: url, SOFTPOST_KEY: key },
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (text) => (stdout += text));
    child.stderr.on("data", (text) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

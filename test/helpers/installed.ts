/** What a new user has: an empty folder, in which npm installed the packed packages with their dependencies. */
import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import manifest from "../../package.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The oldest Node that the package promises to run on. */
const OLDEST = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}@22.18.0`;
/** What the examples name besides softpost, and types for a compiler. */
const BESIDE = ["echarts", "openai", "@types/node"] as const;

export interface Installed {
  readonly folder: string;
  readonly tarballs: readonly string[];
  /** Node 22.18, beside this process's. */
  readonly oldest: string;
}

/** Packs both packages, and installs them as README says. npm's cache has what `npm ci` brought. */
export function installPacked(): Installed {
  const folder = mkdtempSync(join(tmpdir(), "softpost-packed-"));
  // What npm pack would run before it.
  for (const script of ["build.ts", "build-packages.ts"]) execFileSync(process.execPath, [script], { cwd: ROOT });
  const tarballs = [".", "./client-package"].map((from) => {
    const args = ["pack", from, "--pack-destination", folder, "--json", "--ignore-scripts"];
    const [{ filename }] = JSON.parse(execFileSync("npm", args, { cwd: ROOT, encoding: "utf8", stdio: "pipe" }));
    return join(folder, filename);
  });
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
  const versions = manifest.devDependencies;
  npmInstall(folder, ...tarballs, ...BESIDE.map((name) => `${name}@${versions[name]}`));
  for (const part of ["examples", "demo"]) {
    cpSync(join(folder, "node_modules/softpost", part), join(folder, part), { recursive: true });
  }
  // In a folder of its own: its command would be the one that npm's scripts find.
  const node = join(folder, "oldest");
  npmInstall(folder, "--prefix", node, OLDEST);
  return { folder, tarballs, oldest: join(node, "node_modules/.bin/node") };
}

export function npmInstall(cwd: string, ...args: readonly string[]): void {
  const usual = ["install", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"];
  execFileSync("npm", [...usual, ...args], { cwd, stdio: "pipe" });
}

/** Runs a program in a folder, with a ledger of its own. @returns what it prints */
export async function runIn(folder: string, program: string, ...args: readonly string[]): Promise<string> {
  const env = { ...process.env, SOFTPOST_HOME: join(folder, "home") };
  const { stdout } = await promisify(execFile)(program, args, { cwd: folder, env });
  return stdout;
}

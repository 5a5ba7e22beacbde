/** A browser for tests and benchmarks of pages: Debian's Chromium, which looks for nobody on the network but the page's own address. */
import { spawnSync } from "node:child_process";
import { type Browser, chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** @throws Error if there is no Chromium: these tests are never passed over */
export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), args: FLAGS });
}

/** Debian's Chromium, or the one of `CHROMIUM`. @throws Error if there is none */
export function chromiumPath(): string {
  if (process.env.CHROMIUM !== undefined) return process.env.CHROMIUM;
  const { stdout } = spawnSync("which", ["chromium"], { encoding: "utf8" });
  if (stdout.trim() === "") throw new Error("There is no chromium: install Debian's package, or set CHROMIUM to one.");
  return stdout.trim();
}

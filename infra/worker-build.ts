import type { BuildOptions } from "esbuild";

/** How the Worker is bundled: one module for workerd, with the packages' builds for the web. */
export function workerBuild(root: string): BuildOptions {
  return {
    entryPoints: { worker: `${root}/edge/main.ts` },
    bundle: true,
    format: "esm",
    target: "es2024",
    platform: "browser",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*"],
    minify: true,
    logLevel: "warning",
  };
}

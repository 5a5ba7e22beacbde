/** Bundles the command line into `dist/`: one file for the program, one for the thread that runs ONNX sessions. */
import { rmSync } from "node:fs";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
await build({
  entryPoints: { softpost: "client/main.ts", "session-worker": "shared/graph/session-worker.ts" },
  outdir: "dist",
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  packages: "external",
  logLevel: "warning",
});

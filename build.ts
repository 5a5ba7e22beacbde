/**
 * Bundles what is distributed into `dist/`: the command line, the library's entries, the thread that runs ONNX sessions, the programs of a batch job and of a
 * serving process, the Worker that a provider runs, the console, the man page, and the licences of what the programs hold.
 */
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { manPage } from "./client/man-page.ts";
import { bundledLicences } from "./infra/bundled-licences.ts";
import { programBuild } from "./infra/program-build.ts";
import { workerBuild } from "./infra/worker-build.ts";
import { buildWeb } from "./web/build.ts";

rmSync("dist", { recursive: true, force: true });
const programs = await build({
  ...programBuild,
  entryPoints: {
    softpost: "client/main.ts",
    library: "library/index.ts",
    client: "library/client.ts",
    privacy: "library/privacy.ts",
    prompt: "library/prompt.ts",
    "session-worker": "shared/graph/session-worker.ts",
    job: "batch/main.ts",
    serving: "serving/main.ts",
  },
  outdir: "dist",
  // So that a command that needs no provider loads none of it.
  splitting: true,
});
const worker = await build({ ...workerBuild("."), outdir: "dist", metafile: true });
const inputs = [programs, worker].flatMap(({ metafile }) => Object.keys(metafile!.inputs));
writeFileSync("dist/LICENSES.txt", bundledLicences(inputs));
await buildWeb("dist/web");
// The Worker's bindings, for a provider on this machine.
copyFileSync("wrangler.toml", "dist/wrangler.toml");
writeFileSync("dist/softpost.1", manPage());

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface Bundle {
  /** The Worker's module. */
  readonly script: string;
  /** The text of `wrangler.toml`. */
  readonly config: string;
  /** The file that runs a batch job. */
  readonly job: string;
  /** The file that runs a serving process. */
  readonly serving: string;
}

/** The built Worker beside the built command line; in a clone that runs from its sources, the Worker is bundled on the spot. */
export async function loadBundle(): Promise<Bundle> {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const built = here("./worker.js");
  if (existsSync(built)) {
    return {
      script: readFileSync(built, "utf8"),
      config: readFileSync(here("./wrangler.toml"), "utf8"),
      job: here("./job.js"),
      serving: here("./serving.js"),
    };
  }
  const root = here("../..");
  const [{ build }, { workerBuild }] = await Promise.all([import("esbuild"), import("../worker-build.ts")]);
  const { outputFiles } = await build({ ...workerBuild(root), write: false, outdir: "memory" });
  return {
    script: outputFiles![0]!.text,
    config: readFileSync(`${root}/wrangler.toml`, "utf8"),
    job: here("../../batch/main.ts"),
    serving: here("../../serving/main.ts"),
  };
}

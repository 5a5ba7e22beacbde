import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Bundle {
  /** The Worker's module. */
  readonly script: string;
  /** The text of `wrangler.toml`. */
  readonly config: string;
  /** The folder of the console; undefined where it isn't built. */
  readonly console: string | undefined;
  /** The file that runs a batch job. */
  readonly job: string;
  /** The file that runs a serving process. */
  readonly serving: string;
}

/**
 * The built Worker beside the built command line; in a clone that runs from its sources, the Worker is bundled on the spot, and the console is
 * what `npm ci` or `npm run build` wrote last.
 */
export async function loadBundle(): Promise<Bundle> {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const built = here("./worker.js");
  if (existsSync(built)) {
    return {
      script: readFileSync(built, "utf8"),
      config: readFileSync(here("./wrangler.toml"), "utf8"),
      console: consoleFolder(),
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
    console: consoleFolder(),
    job: here("../../batch/main.ts"),
    serving: here("../../serving/main.ts"),
  };
}

/** The console's files: beside the built command line, or in a clone's `dist`. Undefined where they aren't built. */
export function consoleFolder(): string | undefined {
  const folders = ["./web", "../../dist/web"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  return folders.find((folder) => existsSync(join(folder, "index.html")));
}

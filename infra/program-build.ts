import type { BuildOptions } from "esbuild";
import manifest from "../package.json" with { type: "json" };

const { dependencies, peerDependencies } = manifest;

/**
 * How a program for Node is bundled. Its packages are installed beside it, but for those that only a provider on AWS needs: of these it holds what it uses,
 * which spares everybody else 25 MB.
 */
export const programBuild: BuildOptions = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  // CommonJS in a module can require nothing of Node.
  mainFields: ["module", "main"],
  external: [...Object.keys({ ...dependencies, ...peerDependencies }), "esbuild"],
  metafile: true,
  logLevel: "warning",
};

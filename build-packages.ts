/**
 * What is packed beside `dist/`: declarations of the library's entries, and the small package `softpost-client`, which is the API's client with all that it
 * needs in one file.
 */
import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { generateDtsBundle } from "dts-bundle-generator";
import { build } from "esbuild";

const CLIENT = "library/client.ts";
const SMALL = "client-package/dist";

for (const folder of ["types", SMALL]) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "library"], { stdio: "inherit" });
for (const path of globSync("types/**/*.d.ts")) {
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replaceAll(/((?:from|import\()\s*"\.[^"]*)\.ts"/g, '$1.js"'));
}

await build({
  entryPoints: [CLIENT],
  outdir: SMALL,
  bundle: true,
  minify: true,
  platform: "neutral",
  format: "esm",
  target: "es2022",
  logLevel: "warning",
});
const licences = [readFileSync("LICENSE", "utf8"), `zod\n\n${readFileSync("node_modules/zod/LICENSE", "utf8")}`];
writeFileSync(`${SMALL}/LICENSES.txt`, licences.join("\n\n"));
const [declarations] = generateDtsBundle(
  [
    {
      filePath: CLIENT,
      libraries: { inlinedLibraries: ["zod"] },
      output: { noBanner: true, exportReferencedTypes: false },
    },
  ],
  { preferredConfigPath: "library/tsconfig.json" },
);
writeFileSync(`${SMALL}/client.d.ts`, declarations!);

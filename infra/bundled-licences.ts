import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/** A package's folder, for a file that a bundle takes from it. */
const PACKAGE = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/**
 * The licences and notices of the packages that bundles hold parts of; a text that several have stands there once.
 *
 * @param inputs paths of the bundles' files, as esbuild's metafiles have them
 */
export function bundledLicences(inputs: readonly string[]): string {
  const folders = new Set(inputs.map((path) => PACKAGE.exec(path)?.[1]).filter((folder) => folder !== undefined));
  const packages = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const files = globSync("{LICEN[CS]E,NOTICE}*", { cwd: folder }).sort((a, b) =>
      basename(a).localeCompare(basename(b)),
    );
    const text = files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
    return { title: `${name} ${version} (${license})`, text };
  });
  const groups = Map.groupBy(packages, ({ text }) => text);
  return [...groups]
    .map(([text, all]) => `${all.map(({ title }) => title).join("\n")}\n\n${text}\n`)
    .join(`\n${"-".repeat(80)}\n\n`);
}

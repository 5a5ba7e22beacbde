/** How the console is bundled: pages of static files, of which every one but `index.html` has its content's hash in its name. */
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { buildTuning } from "./tune/build.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Keeps zod from compiling its checks with `new Function`, which the page's policy forbids, before any of its scripts runs. */
export const WITHOUT_EVAL = "globalThis.__zod_globalConfig??={jitless:true};";

/** Leaves out zod's messages in fifty languages: there is one here. */
export const oneLanguage: Plugin = {
  name: "one language",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/locales\/index\.js$/ }, () => ({ path: "locales", namespace: "none" }));
    onLoad({ filter: /.*/, namespace: "none" }, () => ({ contents: "export {};" }));
  },
};

/**
 * Writes the console into a folder, which is emptied before.
 *
 * @returns the files that the page loads at once, of whatever view
 */
export async function buildWeb(outdir: string): Promise<string[]> {
  await rm(outdir, { recursive: true, force: true });
  await mkdir(outdir, { recursive: true });
  const { metafile } = await build({
    entryPoints: { main: `${HERE}main.tsx` },
    outdir,
    bundle: true,
    splitting: true,
    minify: true,
    metafile: true,
    format: "esm",
    platform: "browser",
    target: "es2024",
    jsx: "automatic",
    jsxImportSource: "preact",
    banner: { js: WITHOUT_EVAL },
    plugins: [oneLanguage],
    entryNames: "[name]-[hash]",
    chunkNames: "part-[hash]",
    logLevel: "warning",
  });
  const outputs = Object.entries(metafile.outputs);
  const [script, { cssBundle }] = outputs.find(([, { entryPoint }]) => entryPoint?.endsWith("web/main.tsx"))!;
  const page = await readFile(`${HERE}index.html`, "utf8");
  const html = page.replace("{style}", basename(cssBundle!)).replace("{script}", basename(script));
  await writeFile(join(outdir, "index.html"), html);
  await copyFile(`${HERE}icon.svg`, join(outdir, "icon.svg"));
  await buildTuning(outdir);
  return ["index.html", "icon.svg", basename(cssBundle!), ...loadedAtOnce(metafile.outputs, script)];
}

/** A script and those that it imports, not those that it imports later. */
function loadedAtOnce(
  outputs: Readonly<Record<string, { imports: readonly { path: string; kind: string }[] }>>,
  script: string,
): string[] {
  const seen = new Set<string>();
  const visit = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const each of outputs[path]!.imports) if (each.kind === "import-statement") visit(each.path);
  };
  visit(script);
  return [...seen].map((path) => basename(path));
}

/** How the threads of tuning are bundled: shared code as it is, on a browser's means in place of Node's. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const WORKER = fileURLToPath(new URL("worker/", import.meta.url));
const MODULES = fileURLToPath(new URL("../../node_modules/", import.meta.url));

/** What stands for a module of Node's. */
const NODE: Readonly<Record<string, string>> = {
  buffer: `${MODULES}buffer/index.js`,
  crypto: `${WORKER}platform/crypto.ts`,
  events: `${MODULES}events/events.js`,
  fs: `${WORKER}platform/fs.ts`,
  "fs/promises": `${WORKER}platform/fs-promises.ts`,
  os: `${WORKER}platform/os.ts`,
  path: `${MODULES}path-browserify/index.js`,
  stream: `${MODULES}readable-stream/lib/ours/browser.js`,
  "stream/promises": `${MODULES}readable-stream/lib/stream/promises.js`,
  "timers/promises": `${WORKER}platform/timers-promises.ts`,
  url: `${WORKER}platform/url.ts`,
  zlib: `${WORKER}platform/zlib.ts`,
};

/** What of shared/ has a browser's implementation, with the same functions. */
const SHARED: readonly (readonly [RegExp, string])[] = [[/\/tokenizer\/library\.ts$/, `${WORKER}tokenizer-library.ts`]];

const platform: Plugin = {
  name: "platform",
  setup({ onResolve }) {
    onResolve({ filter: /^(node:)?[a-z/]+$/ }, ({ path }) => {
      const found = NODE[path.replace(/^node:/, "")];
      return found === undefined ? undefined : { path: found };
    });
    for (const [filter, path] of SHARED) onResolve({ filter }, () => ({ path }));
  },
};

/** ONNX Runtime's script and its program; and both for GPUs, in the build that a Worker's static assets take (25 MiB a file), which wants JSPI. */
const RUNTIME_FILES = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.jspi"].flatMap((name) => [
  `${name}.mjs`,
  `${name}.wasm`,
]);

/**
 * Writes the threads and ONNX Runtime.
 *
 * @param outdir where the page lies: `tune-worker.js`, `download-worker.js` and the runtime's files come beside it
 */
export async function buildTuning(outdir: string): Promise<void> {
  await build({
    entryPoints: { "tune-worker": `${WORKER}main.ts`, "download-worker": `${WORKER}download.ts` },
    outdir,
    bundle: true,
    minify: true,
    platform: "browser",
    format: "esm",
    target: "es2024",
    conditions: ["onnxruntime-web-use-extern-wasm"],
    inject: [`${WORKER}platform/globals.ts`],
    plugins: [platform],
    logLevel: "warning",
  });
  await mkdir(outdir, { recursive: true });
  for (const file of RUNTIME_FILES) await copyFile(join(MODULES, "onnxruntime-web/dist", file), join(outdir, file));
}

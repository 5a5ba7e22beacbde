import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import type { Schema, Schemas } from "./schemas.ts";

/** What is read of the OpenAPI description. */
export interface Description {
  readonly info: { readonly title: string; readonly description?: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Schemas };
}

/** Bodies by their media types. */
export type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[];
  readonly requestBody?: { readonly content?: Content };
  readonly responses: Readonly<Record<string, { readonly description?: string; readonly content?: Content }>>;
}

/** workerd's own modules are not here; to describe the routes nothing of them is called. */
const withoutWorkerd: Plugin = {
  name: "without workerd",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^cloudflare:/ }, ({ path }) => ({ path, namespace: "workerd" }));
    onLoad({ filter: /.*/, namespace: "workerd" }, () => ({ contents: "export class DurableObject {}" }));
  },
};

/** The API's OpenAPI description, from the Worker's own routes. */
export async function apiDescription(root: string): Promise<Description> {
  const folder = mkdtempSync(join(tmpdir(), "softpost-site-"));
  try {
    const outfile = join(folder, "app.mjs");
    await build({
      entryPoints: [join(root, "edge/app.ts")],
      outfile,
      bundle: true,
      format: "esm",
      target: "node22",
      platform: "browser",
      conditions: ["workerd", "worker", "browser"],
      plugins: [withoutWorkerd],
      logLevel: "error",
    });
    const { createApp, describeApi } = await import(pathToFileURL(outfile).href);
    return describeApi(createApp(), "https://post.example.com");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

import { createRoute } from "@hono/zod-openapi";
import { Zip, ZipPassThrough } from "fflate";
import { z } from "zod";
import { bucket, jobFiles } from "../../shared/protocol/bucket.ts";
import type { FileRecord } from "../../shared/protocol/catalogue.ts";
import { jobId } from "../../shared/protocol/ids.ts";
import { sha256 } from "../../shared/protocol/manifest.ts";
import type { Env } from "../env.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith } from "../http/auth.ts";
import { problems, secured } from "./route.ts";
import { found, idSchema, requireFiles } from "./transfer.ts";

/** Where a zip's times begin: the same files are the same bytes. */
const NO_TIME = new Date(1980, 0, 1);

const getPromptZip = createRoute({
  operationId: "downloadPromptZip",
  tags: ["Transfers"],
  security: secured,
  middleware: [tenantWith("read")],
  method: "get",
  path: "/v1/transfers/{id}/prompt.zip",
  summary: "The transferred prompt's PEFT folder, as one file",
  request: { params: z.object({ id: idSchema }) },
  responses: {
    200: {
      description: "A zip of the files that /prompt/{file} gives one by one; the digest of each is in the transfer.",
      content: { "application/zip": { schema: { type: "string", format: "binary" } } },
    },
    ...problems,
  },
});

export function addPromptZipRoutes(app: App): void {
  app.openapi(getPromptZip, async (c) => {
    const { id } = c.req.valid("param");
    const tenant = c.get("tenant");
    const { transfer, folder: below } = found(await ledgerOf(c.env, tenant).get(id));
    requireFiles(transfer);
    const folder = bucket.job(jobId(tenant, id)) + jobFiles.output + below;
    const tag = await sha256(new TextEncoder().encode(JSON.stringify(transfer.files)));
    return new Response(zipOf(c.env, folder, transfer.files), {
      headers: {
        etag: `"${tag}"`,
        "content-type": "application/zip",
        "content-disposition": `attachment; filename="prompt-${id}.zip"`,
        "cache-control": "private, max-age=31536000, immutable",
      },
    });
  });
}

/** The files as a zip, one after the other, not compressed: numbers hardly get smaller. It breaks off if one is not there. */
function zipOf(env: Env, folder: string, files: readonly FileRecord[]): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const write = async () => {
    let written = Promise.resolve();
    const zip = new Zip((error, chunk) => {
      written = written.then(() => (error ? Promise.reject(error) : writer.write(chunk)));
      // Whoever waits for it sees it fail.
      written.catch(() => {});
    });
    for (const { name } of files) {
      const entry = new ZipPassThrough(name);
      entry.mtime = NO_TIME;
      zip.add(entry);
      const object = await env.PROMPTS.get(folder + name);
      if (!object) throw new Error(`the file ${name} is gone`);
      for await (const chunk of object.body as ReadableStream<Uint8Array>) {
        entry.push(chunk);
        await written;
      }
      entry.push(new Uint8Array(), true);
    }
    zip.end();
    await written;
    await writer.close();
  };
  write().catch((error) => writer.abort(error).catch(() => {}));
  return readable;
}

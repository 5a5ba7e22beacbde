import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { WEIGHTS_FILE } from "../shared/prompt/adapter.ts";
import { MANIFEST_FILE } from "../shared/protocol/manifest.ts";
import type { Recorded } from "./recorder.ts";
import type { Sent } from "./report/results.ts";

/**
 * What the client's requests held. Every manifest and every prompt is compared with the files in the client's folder, so that the list
 * says what was sent and not what should have been.
 *
 * @param prompts the prompt folders that the client may have sent, in `folder`
 * @throws Error if anything else was sent
 */
export async function describeSent(
  requests: readonly Recorded[],
  folder: string,
  prompts: readonly string[],
): Promise<Sent[]> {
  const silent = requests.filter(({ body }) => body.length === 0);
  const speaking = requests.filter(({ body }) => body.length > 0);
  const parts = await Promise.all(speaking.map((request) => describe(request, folder, prompts)));
  return [{ request: `GET × ${silent.length}`, what: "nothing", bytes: 0 }, ...parts.flat()];
}

async function describe({ method, path, headers, body }: Recorded, folder: string, prompts: readonly string[]) {
  const request = `${method} ${path}`;
  const the = (file: string, is: (content: Buffer) => boolean) => {
    const found = prompts.find((prompt) => is(readFileSync(join(folder, prompt, file))));
    if (found === undefined) throw new Error(`The client sent a ${file} that is none of its prompts'.`);
    return `${found}/${file}`;
  };
  const manifest = (sent: unknown) =>
    the(MANIFEST_FILE, (content) => isDeepStrictEqual(JSON.parse(content.toString()), sent));
  if (request === "POST /v1/quotes") {
    const { manifest: sent, options } = JSON.parse(body.toString());
    return [{ request, what: `${manifest(sent)} and options ${JSON.stringify(options)}`, bytes: body.length }];
  }
  const type = { "content-type": headers["content-type"] ?? "" };
  const form = await new Response(new Uint8Array(body), { headers: type }).formData();
  const rows: Sent[] = [];
  for (const [part, value] of form) {
    const bytes = Buffer.from(await new Response(value).arrayBuffer());
    const whats: Record<string, () => string> = {
      manifest: () => manifest(JSON.parse(bytes.toString())),
      prompt: () => the(WEIGHTS_FILE, (content) => content.equals(bytes)),
      options: () => `options ${bytes}`,
    };
    const what = whats[part]?.();
    if (what === undefined) throw new Error(`The client sent a part ${part}.`);
    rows.push({ request, what, bytes: bytes.length });
  }
  return rows;
}

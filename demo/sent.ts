import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { WEIGHTS_FILE } from "../shared/prompt/adapter.ts";
import { MANIFEST_FILE } from "../shared/protocol/manifest.ts";
import type { Recorded } from "./recorder.ts";
import type { Sent } from "./report/results.ts";

/**
 * What the client's requests held. Every manifest and every prompt is compared with the files in the client's folder, so that the list
 * says what was sent and not what should have been. Texts that were sent to be labelled are compared with the test rows that lie beside the prompts.
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
  const isLabelling = ({ path }: Recorded) => path === "/v1/classify";
  const parts = await Promise.all(
    speaking.filter((each) => !isLabelling(each)).map((request) => describe(request, folder, prompts)),
  );
  const labelled = describeTexts(speaking.filter(isLabelling), folder, prompts);
  return [{ request: `GET × ${silent.length}`, what: "nothing", bytes: 0 }, ...parts.flat(), ...labelled];
}

/** What was sent to be labelled, a row for each file that the texts are of. */
function describeTexts(requests: readonly Recorded[], folder: string, prompts: readonly string[]): Sent[] {
  const files = [...new Set(prompts.map((prompt) => `${dirname(prompt)}/test.jsonl`))]
    .filter((name) => existsSync(join(folder, name)))
    .map((name) => ({ name, texts: new Set(textsOf(join(folder, name))) }));
  const found = Map.groupBy(requests, ({ body }) => {
    const { model: _, input, ...more } = JSON.parse(body.toString()) as { model: string; input: string[] };
    const file = files.find(({ texts }) => input.every((text) => texts.has(text)));
    if (!file || Object.keys(more).length > 0)
      throw new Error("The client sent a text that is none of its test rows'.");
    return file.name;
  });
  return [...found].map(([name, own]) => ({
    request: `POST /v1/classify × ${own.length}`,
    what: `texts of ${name}, which the provider sees`,
    bytes: own.reduce((sum, { body }) => sum + body.length, 0),
  }));
}

function textsOf(path: string): string[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => (JSON.parse(line) as { text: string }).text);
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

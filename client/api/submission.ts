import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type PromptFolder, readPromptFolder } from "../../shared/data/prompt-folder.ts";
import { WEIGHTS_FILE } from "../../shared/prompt/adapter.ts";
import { parseHeader } from "../../shared/prompt/safetensors.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { quote } from "../../shared/protocol/json.ts";
import { encodeManifest, MANIFEST_FILE, type Manifest } from "../../shared/protocol/manifest.ts";
import { publicManifest } from "../public-names.ts";
import type { Api } from "./api.ts";

/** One part of a submission's body. */
export interface Part {
  readonly name: string;
  readonly filename: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** A submission, byte for byte, but for the API key. */
export interface SubmitRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly parts: readonly Part[];
}

/**
 * A tuned prompt's manifest and weights, as they leave this machine: with the provider's name of the model, and no local one.
 *
 * @throws ProblemError if the folder isn't a valid prompt with a manifest, its weights have something to say beside their numbers, or
 *   the model that it was tuned on is not in the catalogue
 */
export async function readTunedPrompt(folder: string, api: Api): Promise<{ manifest: Manifest; weights: Uint8Array }> {
  const title = "The soft prompt can't be sent";
  const prompt: PromptFolder = await readPromptFolder(folder);
  if (!prompt.manifest) throw new ProblemError(title, `${folder} has no ${MANIFEST_FILE}; softpost tune writes it.`);
  const path = join(folder, WEIGHTS_FILE);
  const weights = await readFile(path);
  const { metadata } = parseHeader(weights, weights.length, path);
  const more = Object.entries(metadata).filter(([name, value]) => name !== "format" || value !== "pt");
  if (prompt.saved.size > 0) {
    throw new ProblemError(
      title,
      `${path} holds layers of the model too. Save it without them (save_embedding_layers).`,
    );
  }
  if (more.length > 0) {
    const detail = `${path} holds notes of another program (${more.map(([name]) => quote(name)).join(", ")}), which would be sent too.`;
    throw new ProblemError(title, detail, { status: 422 });
  }
  return { manifest: publicManifest(prompt.manifest, await api.students()), weights };
}

/**
 * The request that submits a prompt. It is put together here and not by a form library, so that what is shown (`--dry-run`) and
 * what is sent are the same bytes.
 *
 * @param idempotencyKey the same for every try of one submission
 */
export function submitRequest(
  { manifest, weights }: { manifest: Manifest; weights: Uint8Array },
  options: object,
  idempotencyKey: string,
): SubmitRequest {
  const encoder = new TextEncoder();
  const json = (name: string, filename: string, text: string): Part => {
    return { name, filename, type: "application/json", bytes: encoder.encode(text) };
  };
  const parts = [
    json("manifest", MANIFEST_FILE, encodeManifest(manifest)),
    { name: "prompt", filename: WEIGHTS_FILE, type: "application/octet-stream", bytes: weights },
    json("options", "options.json", JSON.stringify(options)),
  ];
  const boundary = `softpost-${idempotencyKey}`;
  const pieces = parts.flatMap(({ name, filename, type, bytes }) => [
    encoder.encode(
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"; filename="${filename}"\r\ncontent-type: ${type}\r\n\r\n`,
    ),
    bytes,
    encoder.encode("\r\n"),
  ]);
  return {
    path: "/v1/transfers",
    headers: { "content-type": `multipart/form-data; boundary=${boundary}`, "idempotency-key": idempotencyKey },
    body: new Uint8Array(Buffer.concat([...pieces, encoder.encode(`--${boundary}--\r\n`)])),
    parts,
  };
}

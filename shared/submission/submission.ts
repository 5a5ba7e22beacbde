import { WEIGHTS_FILE } from "../prompt/adapter.ts";
import { encodeManifest, MANIFEST_FILE, type Manifest } from "../protocol/manifest.ts";
import type { TransferOptions } from "../protocol/transfer-options.ts";

/** One part of a submission's body. */
export interface Part {
  readonly name: string;
  readonly filename: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** The tenant's own name and metadata for a transfer, if any. */
export interface Labels {
  readonly name?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** A submission, byte for byte, but for the API key. */
export interface Submission {
  readonly manifest: Manifest;
  readonly options: Partial<TransferOptions>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly parts: readonly Part[];
}

/**
 * The request that submits a prompt. It is put together here and not by a form library, so that what is shown (`--dry-run`) and
 * what is sent are the same bytes.
 *
 * @param idempotencyKey the same for every try of one submission
 */
export function submissionOf(
  { manifest, weights }: { manifest: Manifest; weights: Uint8Array },
  options: Partial<TransferOptions>,
  idempotencyKey: string,
  labels: Labels,
): Submission {
  const encoder = new TextEncoder();
  const json = (name: string, filename: string, text: string): Part => {
    return { name, filename, type: "application/json", bytes: encoder.encode(text) };
  };
  const labelled = Object.values(labels).some((label) => label !== undefined);
  const parts = [
    json("manifest", MANIFEST_FILE, encodeManifest(manifest)),
    { name: "prompt", filename: WEIGHTS_FILE, type: "application/octet-stream", bytes: weights },
    json("options", "options.json", JSON.stringify(options)),
    ...(labelled ? [json("labels", "labels.json", JSON.stringify(labels))] : []),
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
    manifest,
    options,
    headers: { "content-type": `multipart/form-data; boundary=${boundary}`, "idempotency-key": idempotencyKey },
    body: joined([...pieces, encoder.encode(`--${boundary}--\r\n`)]),
    parts,
  };
}

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

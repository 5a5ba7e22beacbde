import { createMiddleware } from "hono/factory";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { MAX_MANIFEST_BYTES } from "../../shared/protocol/manifest.ts";

/** 4096 × 200 values of 4 bytes and the safetensors header: more than any published soft prompt, little enough to buffer. */
export const MAX_PROMPT_BYTES = 4 * 1024 * 1024;
/** Options are a handful of numbers. */
export const MAX_OPTIONS_BYTES = 4 * 1024;
/** A name and sixteen pairs, in any script. */
const MAX_LABELS_BYTES = 48 * 1024;
/** Everything together, with room for the multipart boundaries and headers. */
export const MAX_UPLOAD_BYTES =
  MAX_PROMPT_BYTES + MAX_MANIFEST_BYTES + MAX_OPTIONS_BYTES + MAX_LABELS_BYTES + 16 * 1024;

const PARTS = {
  manifest: MAX_MANIFEST_BYTES,
  prompt: MAX_PROMPT_BYTES,
  options: MAX_OPTIONS_BYTES,
  labels: MAX_LABELS_BYTES,
} as const;
type Part = keyof typeof PARTS;

/** A submission's parts; `labels` may be missing. */
export type Upload = Readonly<Record<Exclude<Part, "labels">, Uint8Array>> & { readonly labels?: Uint8Array };

const TITLE = "The upload is not valid";

/** How long a body may take to arrive: 4 MB at 70 kB/s. */
const MAX_BODY_MS = 60_000;
/** Where more is taken, so much more time: 70 kB/s. */
const BYTES_PER_MS = 70;
/** How long nothing may come of a body: more than a machine that has much else to do keeps a body waiting. */
const MAX_PAUSE_MS = 30_000;

/**
 * Refuses a longer or slower body while it arrives, whatever length was declared. What it leaves unread can be drained (`drainBody`), which is
 * why this isn't Hono's own: that one keeps the body locked.
 */
export function limitBody(maxSize: number) {
  return createMiddleware(async (c, next) => {
    const { raw } = c.req;
    if (raw.body === null) return next();
    const declared = Number(c.req.header("content-length") ?? 0);
    const body = declared > maxSize ? undefined : await readAtMost(raw.body, maxSize);
    if (!body) throw new ProblemError("The body is too large", `At most ${maxSize} bytes are taken.`, { status: 413 });
    c.req.raw = new Request(raw, { body, signal: raw.signal });
    return next();
  });
}

/**
 * The whole stream; undefined, and the rest left in it, if it has more than `limit` bytes.
 *
 * @throws ProblemError 408 if it comes too slowly, 400 if it breaks off or its chunks aren't valid HTTP
 */
async function readAtMost(stream: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array | undefined> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  const deadline = Date.now() + MAX_BODY_MS;
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await readInTime(reader, Math.min(MAX_PAUSE_MS, deadline - Date.now()));
      if (done) break;
      size += value.length;
      if (size > limit) return undefined;
      chunks.push(value);
    }
  } finally {
    reader.releaseLock();
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * The chunks of a body whose length is known, as they come.
 *
 * @param size its length; a body of 100 MB has 26 minutes
 * @throws ProblemError 408 if it comes too slowly, 400 if it breaks off
 */
export async function* chunksInTime(body: ReadableStream<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  const deadline = Date.now() + MAX_BODY_MS + size / BYTES_PER_MS;
  try {
    for (;;) {
      const { done, value } = await readInTime(reader, Math.min(MAX_PAUSE_MS, deadline - Date.now()));
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

/** @throws ProblemError 408 if nothing comes for so long, 400 if the body breaks off */
async function readInTime(reader: ReadableStreamDefaultReader<Uint8Array>, milliseconds: number) {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void reader.cancel().catch(() => {});
  }, milliseconds);
  const broken = "Its body was cut off, or is no valid HTTP.";
  const read = await reader.read().catch((cause) => {
    throw late ? tooSlow() : new ProblemError("The request is not valid", broken, { cause });
  });
  clearTimeout(timer);
  if (late) throw tooSlow();
  return read;
}

function tooSlow(): ProblemError {
  return new ProblemError("The body comes too slowly", "Send it again, at once.", { status: 408 });
}

/**
 * The parts of a submission. The body's size was limited before (`limitBody`), so it can be held in memory.
 *
 * @throws ProblemError with every part that is missing, too much, there twice or too large
 */
export async function readUpload(request: Request): Promise<Upload> {
  const form = await readForm(request);
  const faults = [...new Set(form.keys())]
    .filter((name) => !Object.hasOwn(PARTS, name))
    .slice(0, 10)
    .map((name) => ({ at: JSON.stringify(name.slice(0, 80)), message: "Is no part of a submission." }));
  const read = async (name: Part): Promise<Uint8Array> => {
    const values = form.getAll(name);
    const [value] = values;
    if (values.length !== 1 || value === undefined) {
      faults.push({ at: name, message: `Must be there exactly once; it is there ${values.length} times.` });
      return new Uint8Array();
    }
    const bytes =
      typeof value === "string" ? new TextEncoder().encode(value) : new Uint8Array(await value.arrayBuffer());
    if (bytes.length > PARTS[name]) {
      faults.push({ at: name, message: `Has ${bytes.length} bytes; at most ${PARTS[name]} are taken.` });
    }
    return bytes;
  };
  const upload = {
    manifest: await read("manifest"),
    prompt: await read("prompt"),
    options: await read("options"),
    ...(form.has("labels") && { labels: await read("labels") }),
  };
  if (faults.length > 0) throw new ProblemError(TITLE, "Its parts are wrong.", { status: 422, faults });
  return upload;
}

async function readForm(request: Request): Promise<FormData> {
  const [type = "", ...parameters] = (request.headers.get("content-type") ?? "").split(";");
  if (type.trim().toLowerCase() !== "multipart/form-data") {
    throw new ProblemError(TITLE, "Send multipart/form-data with the parts manifest, prompt and options.", {
      status: 415,
    });
  }
  try {
    // Media types are written in any case (RFC 9110, section 8.3.1), but workerd takes small letters only.
    const headers = { "content-type": ["multipart/form-data", ...parameters].join(";") };
    return await new Response(request.body, { headers }).formData();
  } catch (cause) {
    if (cause instanceof ProblemError) throw cause;
    throw new ProblemError(TITLE, "The multipart body can't be read.", { cause });
  }
}

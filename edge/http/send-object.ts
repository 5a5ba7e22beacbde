import type { Context } from "hono";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { AppEnv } from "./app-env.ts";

/**
 * Answers a GET from the bucket with Range (RFC 9110), conditional requests and a strong ETag: the digest of the content, which
 * stays the same wherever the file is copied to.
 *
 * @param sha256 of the object, which never changes
 * @throws ProblemError 404, 416
 */
export async function sendObject(
  c: Context<AppEnv>,
  key: string,
  file: { name: string; sha256: string; size: number },
): Promise<Response> {
  const request = c.req.raw;
  const etag = `"${file.sha256}"`;
  const headers = new Headers({
    etag,
    "accept-ranges": "bytes",
    "cache-control": "private, max-age=31536000, immutable",
    "content-type": file.name.endsWith(".json") ? "application/json" : "application/octet-stream",
    "content-disposition": `attachment; filename="${file.name}"`,
  });
  if (matches(request.headers.get("if-none-match"), etag)) return new Response(null, { status: 304, headers });

  const ifRange = request.headers.get("if-range");
  const wanted = ifRange === null || ifRange === etag ? request.headers.get("range") : null;
  const range = rangeOf(c, wanted, file.size);
  const object = await c.env.PROMPTS.get(key, range ? { range } : {});
  if (!object) throw new ProblemError("Not found", `The file ${file.name} is not there.`, { status: 404 });
  headers.set("content-length", String(range?.length ?? object.size));
  if (!range) return new Response(object.body, { headers });
  headers.set("content-range", `bytes ${range.offset}-${range.offset + range.length - 1}/${file.size}`);
  return new Response(object.body, { status: 206, headers });
}

/** With the size that RFC 9110 section 15.5.17 wants in an answer of 416. */
function rangeOf(c: Context<AppEnv>, header: string | null, size: number) {
  try {
    return parseRange(header, size);
  } catch (error) {
    c.header("content-range", `bytes */${size}`);
    throw error;
  }
}

/** One range; a header that isn't understood or names several is ignored, as RFC 9110 section 14.2 allows. */
export function parseRange(header: string | null, size: number): { offset: number; length: number } | undefined {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  const offset = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  if (offset >= size || offset > end) {
    throw new ProblemError("The range can't be satisfied", `The file has ${size} bytes.`, { status: 416 });
  }
  return { offset, length: end - offset + 1 };
}

function matches(header: string | null, etag: string): boolean {
  return (header ?? "").split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag);
}

import { AwsClient } from "aws4fetch";
import type { PromptStore, StoredObject } from "./prompt-store.ts";
import { STREAM_MS } from "./timed-store.ts";

/** S3 answers within a second; a passing fault is tried again. */
const RETRIES = 2;
const REQUEST_MS = 10_000;

export interface S3Options {
  /** Of the bucket, path style: https://s3.REGION.amazonaws.com/BUCKET. */
  readonly url: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** An S3 bucket, for a provider whose prompts are not in R2. AWS's own client needs an XML parser that a Worker hasn't. */
export class S3Store implements PromptStore {
  private readonly client: AwsClient;
  private readonly url: string;

  constructor({ url, ...credentials }: S3Options) {
    this.url = url;
    this.client = new AwsClient({ ...credentials, service: "s3", retries: RETRIES });
  }

  async get(key: string, { range }: { range?: { offset: number; length: number } } = {}): Promise<StoredObject | null> {
    const headers = range && { range: `bytes=${range.offset}-${range.offset + range.length - 1}` };
    const response = await this.send("GET", key, headers ? { headers } : {});
    if (response.status === 404) return null;
    const total = response.headers.get("content-range")?.split("/")[1] ?? response.headers.get("content-length");
    return {
      body: response.body!,
      etag: etagOf(response),
      size: Number(total),
      json: () => response.json(),
    };
  }

  async head(key: string): Promise<{ etag: string } | null> {
    const response = await this.send("HEAD", key);
    return response.status === 404 ? null : { etag: etagOf(response) };
  }

  async put(
    key: string,
    value: string | Uint8Array,
    { onlyIf }: Parameters<PromptStore["put"]>[2] = {},
  ): Promise<{ etag: string } | null> {
    const headers: Record<string, string> = {};
    if (onlyIf && "etagMatches" in onlyIf) headers["if-match"] = `"${onlyIf.etagMatches}"`;
    if (onlyIf && "etagDoesNotMatch" in onlyIf) headers["if-none-match"] = onlyIf.etagDoesNotMatch;
    const body = typeof value === "string" ? value : new Uint8Array(value);
    const response = await this.send("PUT", key, { headers, body });
    return response.ok ? { etag: etagOf(response) } : null;
  }

  async putStream(key: string, body: ReadableStream): Promise<unknown> {
    // Signed without its digest, and tried once: it can't be read twice.
    const init = { method: "PUT", body, signal: AbortSignal.timeout(STREAM_MS) };
    const response = await fetch(await this.client.sign(`${this.url}/${key}`, init));
    if (!response.ok) throw new Error(`S3 answered ${response.status} to PUT`);
    return { etag: etagOf(response) };
  }

  async delete(key: string): Promise<void> {
    await this.send("DELETE", key);
  }

  async list({ prefix, cursor }: { prefix: string; cursor?: string }): ReturnType<PromptStore["list"]> {
    const query = new URLSearchParams({ "list-type": "2", prefix });
    if (cursor !== undefined) query.set("continuation-token", cursor);
    const xml = await (await this.send("GET", `?${query}`)).text();
    // Our keys have no character that XML writes otherwise (shared/protocol/bucket.ts).
    const objects = [...xml.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => ({ key: key! }));
    const next = /<NextContinuationToken>([^<]*)</.exec(xml)?.[1];
    return next === undefined ? { objects, truncated: false } : { objects, truncated: true, cursor: next };
  }

  /** @throws Error at any answer but a success, "not there" and "the condition doesn't hold" (or another write was in its way) */
  private async send(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const url = path.startsWith("?") ? this.url + path : `${this.url}/${path}`;
    const response = await this.client.fetch(url, { ...init, method, signal: AbortSignal.timeout(REQUEST_MS) });
    if (response.ok || [404, 409, 412].includes(response.status)) return response;
    throw new Error(`S3 answered ${response.status} to ${method}`);
  }
}

function etagOf(response: Response): string {
  return (response.headers.get("etag") ?? "").replaceAll('"', "");
}

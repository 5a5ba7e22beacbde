import { bucket } from "../../shared/protocol/bucket.ts";
import type { Env } from "../env.ts";

/** The keys of the bucket that start with `prefix`, in order. */
export async function* keysOf(env: Env, prefix: string): AsyncGenerator<string> {
  let cursor: string | undefined;
  do {
    const page = await env.PROMPTS.list({ prefix, ...(cursor !== undefined && { cursor }) });
    for (const { key } of page.objects) yield key;
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
}

/** Every tenant's id. */
export async function* tenantIds(env: Env): AsyncGenerator<string> {
  for await (const key of keysOf(env, bucket.tenants)) yield key.slice(bucket.tenants.length, -".json".length);
}

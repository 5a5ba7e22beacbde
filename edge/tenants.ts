import { bucket } from "../shared/protocol/bucket.ts";
import type { Env } from "./env.ts";

/** Every tenant's id. */
export async function* tenantIds(env: Env): AsyncGenerator<string> {
  let cursor: string | undefined;
  do {
    const page = await env.PROMPTS.list({ prefix: bucket.tenants, ...(cursor !== undefined && { cursor }) });
    for (const { key } of page.objects) yield key.slice(bucket.tenants.length, -".json".length);
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
}

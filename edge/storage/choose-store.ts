import type { Env } from "../env.ts";
import type { Binding } from "./prompt-store.ts";
import { S3Store } from "./s3-store.ts";
import { TimedStore } from "./timed-store.ts";

/** The environment with the bucket that it names: S3's where there is an address of one, else R2's binding. */
export function withStore(env: Env): Env {
  // What the runtime gives is R2's binding.
  if (!env.S3_URL) return { ...env, PROMPTS: new TimedStore(env.PROMPTS as Binding) };
  const { S3_URL: url, AWS_REGION: region, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY } = env;
  const store = new S3Store({ url, region, accessKeyId, secretAccessKey: AWS_SECRET_ACCESS_KEY });
  return { ...env, PROMPTS: store };
}

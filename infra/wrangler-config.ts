import { parse } from "smol-toml";
import { z } from "zod";

const limitSchema = z.object({ limit: z.int(), period: z.union([z.literal(10), z.literal(60)]) });

const environmentSchema = z.object({
  durable_objects: z.object({ bindings: z.array(z.object({ name: z.string(), class_name: z.string() })) }),
  /** None where the bucket is S3's. */
  r2_buckets: z
    .array(z.object({ binding: z.string(), bucket_name: z.string() }))
    .max(1)
    .default([]),
  ratelimits: z.array(z.object({ name: z.string(), namespace_id: z.string(), simple: limitSchema })).default([]),
  vars: z.record(z.string(), z.string()),
});

const configSchema = environmentSchema.extend({
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()),
  env: z.record(z.string(), environmentSchema),
});

/** What is read of `wrangler.toml`: on one machine and on AWS, names are those that the deployed Worker has. */
export type WranglerConfig = z.output<typeof configSchema>;
export type WranglerEnvironment = z.output<typeof environmentSchema>;

/** @throws ZodError or TomlError where the file isn't one of softpost's */
export function parseWrangler(text: string): WranglerConfig {
  return configSchema.parse(parse(text));
}

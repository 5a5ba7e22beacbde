import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { BucketOptions } from "../batch/storage/bucket.ts";
import { DEVICES } from "../shared/graph/graph.ts";
import { nameSchema } from "../shared/protocol/catalogue.ts";
import { MAX_ROWS } from "../shared/protocol/inference.ts";
import { validate } from "../shared/protocol/json.ts";

const whole = (least: number, value: number) => z.coerce.number().int().min(least).default(value);

/** What the process is told: docs/serving.md has the list. */
const environmentSchema = z
  .object({
    SERVING_SECRET: z.string().min(16, "Must have 16 characters at least."),
    SERVING_TARGET: nameSchema,
    /** The target's folder; without it, the catalogue says what is downloaded. */
    SERVING_MODEL: z.string().min(1).optional(),
    SERVING_BACKEND: z.enum(["own", "vllm"]).default("own"),
    VLLM_URL: z.url().optional(),
    /** What vLLM calls the model; without it, SERVING_TARGET. */
    VLLM_MODEL: z.string().min(1).optional(),
    REPORT_URL: z.url(),
    /** Where what isn't reported yet is kept. */
    SERVING_STATE: z.string().min(1),
    PORT: z.coerce.number().int().min(0).max(65_535).default(8790),
    HOST: z.string().min(1).default("127.0.0.1"),
    SERVING_SLOTS: whole(1, 32),
    SERVING_QUEUE: whole(0, 128),
    SERVING_PROMPT_BYTES: whole(0, 1e9),
    SERVING_DRAIN_SECONDS: whole(0, 30),
    SERVING_REQUEST_SECONDS: whole(1, 600),
    SOFTPOST_BUCKET: z.string().min(1),
    SOFTPOST_S3_ENDPOINT: z.string().min(1).optional(),
    SOFTPOST_CACHE: z.string().min(1).default(join(tmpdir(), "softpost-models")),
    SOFTPOST_THREADS: whole(1, availableParallelism()),
    SOFTPOST_DEVICE: z.enum(DEVICES).default("cpu"),
    AWS_ACCESS_KEY_ID: z.string().min(1).optional(),
    AWS_SECRET_ACCESS_KEY: z.string().min(1).optional(),
  })
  .superRefine(({ SERVING_BACKEND, VLLM_URL, SERVING_SLOTS, SERVING_QUEUE }, context) => {
    const fault = (name: string, message: string) => context.addIssue({ code: "custom", path: [name], message });
    if (SERVING_BACKEND === "vllm" && VLLM_URL === undefined) fault("VLLM_URL", "Must say where vLLM is.");
    if (SERVING_SLOTS + SERVING_QUEUE < MAX_ROWS) {
      fault("SERVING_QUEUE", `Must be ${MAX_ROWS} with SERVING_SLOTS at least: a request may have so many rows.`);
    }
  });

export type Environment = z.output<typeof environmentSchema> & { readonly bucket: BucketOptions };

/** @throws ProblemError with everything that is missing or wrong, by its name */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const given = validate(environmentSchema, env, "environment", "The serving process can't start");
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = given;
  return {
    ...given,
    bucket: {
      name: given.SOFTPOST_BUCKET,
      endpoint: given.SOFTPOST_S3_ENDPOINT ?? null,
      credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : null,
    },
  };
}

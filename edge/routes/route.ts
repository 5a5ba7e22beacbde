import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { openaiErrorSchema } from "../../shared/protocol/openai-error.ts";
import type { App } from "../http/app-env.ts";
import { problemSchema } from "../http/errors.ts";

/** Parts of route descriptions that all routes share. */
export const secured = [{ key: [] }];

const retryAfter = {
  "Retry-After": {
    description: "Seconds after which to try again; with 429 and 503.",
    schema: { type: "integer" as const },
  },
};
const problem = { "application/problem+json": { schema: problemSchema } };

/** draft-ietf-httpapi-ratelimit-headers-10; on every answer to a tenant's key. */
const standing = {
  "RateLimit-Policy": {
    description: '`"tenant";q=…;w=…`: requests that may be sent in so many seconds.',
    schema: { type: "string" as const },
  },
  RateLimit: {
    description: '`"tenant";r=…;t=…`: how many are left now, and seconds until all are there again.',
    schema: { type: "string" as const },
  },
};

export const problems = {
  "4XX": { description: "What is wrong with the request.", headers: { ...retryAfter, ...standing }, content: problem },
  "5XX": {
    description: "A fault of the provider's; with 503 one that passes, so the request may be sent again.",
    headers: retryAfter,
    content: problem,
  },
};

const openai = { "application/json": { schema: openaiErrorSchema } };

/** The same in OpenAI's form, on its routes. */
export const openaiProblems = {
  "4XX": { ...problems["4XX"], content: openai },
  "5XX": { ...problems["5XX"], content: openai },
};

export function json<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { "application/json": { schema } } };
}

/** Puts a schema into the description that no route's own schemas have: of a part of a body, or of what is sent to others. */
export function describeSchema(app: App, name: string, schema: z.ZodType): void {
  const whole = JSON.parse(JSON.stringify(z.toJSONSchema(schema, { io: "input" })));
  // A schema with a name is there as a reference to its own definition.
  const { $schema: _, id: __, ...described } = whole.$defs?.[name] ?? whole;
  app.openAPIRegistry.registerComponent("schemas", name, described);
}

/** The header of a request that is to be done once. */
export const onceHeaders = z.object({
  "idempotency-key": z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, "Must be 1 to 128 visible ASCII characters.")
    .optional()
    .describe("Chosen by the client: the same request sent again with the same key is done once."),
});

/** What a key is answered that came with another request before. */
export function keyIsTaken(): ProblemError {
  const detail = "This Idempotency-Key was used for another submission; use a new one.";
  return new ProblemError("The idempotency key is taken", detail, { status: 422 });
}

/** Headers with which a client asks for a part of a file, or only if it changed. */
export const fileHeaders = z.object({
  range: z.string().optional().describe("One range, such as bytes=1000-, to go on with a download."),
  "if-range": z.string().optional().describe("ETag: the range is only wanted of this content."),
  "if-none-match": z.string().optional().describe("ETag: answered with 304 if the content is still this."),
});

const etag = {
  ETag: { description: "The content's SHA-256 in quotes; it never changes.", schema: { type: "string" as const } },
};
const bytes = { "application/octet-stream": { schema: { type: "string" as const, format: "binary" } } };

/** Answers with a file (`sendObject`). */
export const file = {
  200: { description: "The file.", headers: etag, content: bytes },
  206: {
    description: "The range.",
    headers: {
      ...etag,
      "Content-Range": { description: "Which bytes of how many.", schema: { type: "string" as const } },
    },
    content: bytes,
  },
  304: { description: "The client has it already.", headers: etag },
};

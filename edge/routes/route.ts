import type { z } from "zod";
import { problemSchema } from "../http/errors.ts";

/** Parts of route descriptions that all routes share. */
export const secured = [{ key: [] }];

export const problems = {
  "4XX": {
    description: "What is wrong with the request.",
    content: { "application/problem+json": { schema: problemSchema } },
  },
};

export function json<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { "application/json": { schema } } };
}

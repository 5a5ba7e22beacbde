import type { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { PromptStore } from "./prompt-store.ts";

/**
 * A JSON object of the provider's own; undefined where it isn't there.
 *
 * @throws ProblemError (500) if it isn't what it should be. The client is told no more than that, the operator's log which object
 *   it is and where it is wrong
 */
export async function readObject<S extends z.ZodType>(
  prompts: PromptStore,
  key: string,
  schema: S,
): Promise<z.output<S> | undefined> {
  const object = await prompts.get(key);
  if (!object) return undefined;
  const value = await object.json().catch(() => undefined);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = value === undefined ? "it is not JSON" : `at /${issue!.path.join("/")}: ${issue!.message}`;
  const detail = "Something of the provider's own is damaged. It was logged; quote the instance when you report it.";
  const cause = new Error(`the object ${key} of the bucket is damaged (${where}); write it again`);
  throw new ProblemError("The provider's storage is damaged", detail, { status: 500, cause });
}

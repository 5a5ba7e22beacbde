import { ZodError } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { quote } from "../protocol/json.ts";
import { families } from "./families.ts";
import type { Family, ModelConfig } from "./model.ts";

const TITLE = "The model can't be read";

/** What a config.json describes. */
export interface ConfiguredModel {
  readonly family: Family;
  readonly config: ModelConfig;
}

/**
 * Reads a parsed config.json.
 * @param file its name, for messages
 * @throws ProblemError for a family that softpost doesn't know, or with every field that it can't compute
 */
export function configureModel(json: Readonly<Record<string, unknown>>, file: string): ConfiguredModel {
  const type = String(json.model_type);
  const family = Object.hasOwn(families, type) ? families[type] : undefined;
  if (!family) {
    const known = Object.keys(families).join(", ");
    throw new ProblemError(TITLE, `${file}: model_type is ${quote(type)}; supported: ${known}.`);
  }
  try {
    return { family, config: family.configure(json) };
  } catch (error) {
    if (!(error instanceof ZodError)) throw error;
    const faults = error.issues.map((issue) => ({ at: `${file}: ${issue.path.join(".")}`, message: issue.message }));
    throw new ProblemError(TITLE, `${file} describes a model that can't be computed`, { status: 422, faults });
  }
}

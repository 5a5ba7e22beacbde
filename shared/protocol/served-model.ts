import { z } from "zod";
import { nameSchema } from "./catalogue.ts";
import { ID_PATTERN } from "./ids.ts";
import { privacyRecordSchema } from "./manifest.ts";
import { taskSchema } from "./task.ts";

/** What a target with a transferred prompt is called. */
export function promptModel(target: string, transfer: string): string {
  return `${target}:${transfer}`;
}

/** The target and the transfer that a model's name is made of; undefined for any other name. */
export function parsePromptModel(name: string): { target: string; transfer: string } | undefined {
  const [target = "", transfer = "", ...rest] = name.split(":");
  if (rest.length > 0 || !nameSchema.safeParse(target).success || !ID_PATTERN.test(transfer)) return undefined;
  return { target, transfer };
}

/** A model as OpenAI's API lists it, with what softpost knows of it. */
export const servedModelSchema = z
  .object({
    id: z.string().describe("What requests call it: TARGET, TARGET:TRANSFER_ID, or an alias of the tenant's own."),
    object: z.literal("model"),
    created: z.int().describe("Unix seconds; 0 where it isn't known."),
    owned_by: z.enum(["provider", "tenant"]),
    root: z.string().describe("The model's own name, which usage is counted by: an alias stands for it."),
    parent: z.string().nullable().describe("The target that the prompt is for; null for a target itself."),
    task: taskSchema.nullable().describe("What the prompt was tuned for; null for a target, and if it can't be read."),
    privacy: privacyRecordSchema
      .nullable()
      .describe("The guarantee with which the prompt was tuned; null where there is none."),
  })
  .meta({ id: "Model" });

export type ServedModel = z.output<typeof servedModelSchema>;

export const modelListSchema = z.object({ object: z.literal("list"), data: z.array(servedModelSchema) });

export const aliasSchema = z
  .object({
    alias: nameSchema,
    transfer: z.string().regex(ID_PATTERN, "Is no transfer's id.").describe("A transfer that succeeded."),
  })
  .meta({ id: "Alias", description: "A tenant's own name for one of its transferred prompts." });

export type Alias = z.output<typeof aliasSchema>;

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { nameSchema } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { aliasSchema, modelListSchema, servedModelSchema } from "../../shared/protocol/served-model.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith } from "../http/auth.ts";
import { limitBody } from "../http/upload.ts";
import { describeModel, listModels } from "../inference/models.ts";
import { json, openaiProblems, problems, secured } from "./route.ts";

/** A transfer's id. */
const MAX_BODY = 1024;

const shared = { tags: ["Inference"], security: secured };

const list = createRoute({
  operationId: "listModels",
  ...shared,
  middleware: [tenantWith("infer")],
  method: "get",
  path: "/v1/models",
  summary: "The provider's targets, the tenant's transferred prompts, and its own names for them",
  description: "The thousand newest prompts. A target is listed if it is served, and so are the prompts for it.",
  responses: { 200: json(modelListSchema, "The models."), ...openaiProblems },
});

const get = createRoute({
  operationId: "getModel",
  ...shared,
  middleware: [tenantWith("infer")],
  method: "get",
  path: "/v1/models/{model}",
  summary: "A model with its task and privacy record",
  request: { params: z.object({ model: z.string().meta({ example: "TARGET:TRANSFER_ID" }) }) },
  responses: { 200: json(servedModelSchema, "The model."), ...openaiProblems },
});

const listAliases = createRoute({
  operationId: "listAliases",
  ...shared,
  middleware: [tenantWith("read")],
  method: "get",
  path: "/v1/aliases",
  summary: "The tenant's own names for its prompts",
  responses: { 200: json(z.object({ aliases: z.array(aliasSchema) }), "The aliases."), ...problems },
});

const putAlias = createRoute({
  operationId: "setAlias",
  ...shared,
  middleware: [tenantWith("submit"), limitBody(MAX_BODY)],
  method: "put",
  path: "/v1/aliases/{alias}",
  summary: "Give a transferred prompt a name, which it takes from the one that had it",
  request: {
    params: z.object({ alias: nameSchema }),
    body: {
      required: true,
      content: { "application/json": { schema: z.strictObject({ transfer: aliasSchema.shape.transfer }) } },
    },
  },
  responses: { 200: json(aliasSchema, "The alias."), ...problems },
});

const deleteAlias = createRoute({
  operationId: "removeAlias",
  ...shared,
  middleware: [tenantWith("submit")],
  method: "delete",
  path: "/v1/aliases/{alias}",
  summary: "Remove a name; the prompt stays",
  request: { params: z.object({ alias: nameSchema }) },
  responses: { 204: { description: "It is removed." }, ...problems },
});

export function addModelRoutes(app: App): void {
  app.openapi(list, async (c) =>
    c.json({ object: "list" as const, data: await listModels(c.env, c.get("tenant")) }, 200),
  );

  app.openapi(get, async (c) => c.json(await describeModel(c.env, c.get("tenant"), c.req.valid("param").model), 200));

  app.openapi(listAliases, async (c) => {
    const { aliases } = await ledgerOf(c.env, c.get("tenant")).transferredPrompts(0);
    return c.json({ aliases }, 200);
  });

  app.openapi(putAlias, async (c) => {
    const alias = { ...c.req.valid("param"), ...c.req.valid("json") };
    const outcome = await ledgerOf(c.env, c.get("tenant")).setAlias(alias);
    if (outcome === "set") return c.json(alias, 200);
    if (outcome === "unknown") throw missing("There is no such transfer, or it has not succeeded.");
    throw new ProblemError("There are too many aliases", "Remove one first.", { status: 409 });
  });

  app.openapi(deleteAlias, async (c) => {
    const removed = await ledgerOf(c.env, c.get("tenant")).removeAlias(c.req.valid("param").alias);
    if (!removed) throw missing("There is no such alias.");
    return c.body(null, 204);
  });
}

function missing(detail: string): ProblemError {
  return new ProblemError("Not found", detail, { status: 404 });
}

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { bucket } from "../../../shared/protocol/bucket.ts";
import {
  catalogueSchema,
  nameSchema,
  publicSetSchema,
  studentSchema,
  withPublicSet,
  withRetired,
  withStudent,
} from "../../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { AUTO } from "../../../shared/protocol/transfer-options.ts";
import type { Env } from "../../env.ts";
import type { App } from "../../http/app-env.ts";
import { actorOf, providerOnly, registerOf } from "../../http/auth.ts";
import { limitBody } from "../../http/upload.ts";
import { changeCatalogue, readCatalogue } from "../../storage/catalogue.ts";
import { json, problems } from "../route.ts";
import { body, provider } from "./shared.ts";

/** A model of some hundred files. */
const MAX_RECORD = 128 * 1024;
const recorded = { ...provider, middleware: [providerOnly, limitBody(MAX_RECORD)] };

const named = z.object({ id: nameSchema });
const retirement = z.strictObject({ retired: z.boolean() }).meta({ examples: [{ retired: true }] });

const getCatalogue = createRoute({
  operationId: "getCatalogue",
  ...provider,
  method: "get",
  path: "/v1/admin/catalogue",
  summary: "Students and public sets, the retired ones too",
  responses: { 200: json(catalogueSchema, "The catalogue."), ...problems },
});

const postStudent = createRoute({
  operationId: "publishStudent",
  ...recorded,
  method: "post",
  path: "/v1/admin/catalogue/students",
  summary: "Put a student into the catalogue whose files, and its target's, are in the bucket",
  description:
    "`softpost admin catalogue publish` uploads them and makes the record. A student of the same name with other content is retired.",
  request: { body: body(studentSchema) },
  responses: { 201: json(studentSchema, "The student."), ...problems },
});

const postPublicSet = createRoute({
  operationId: "publishPublicSet",
  ...recorded,
  method: "post",
  path: "/v1/admin/catalogue/public-sets",
  summary: "Put a public set into the catalogue whose file is in the bucket, instead of one of its name",
  request: { body: body(publicSetSchema) },
  responses: { 201: json(publicSetSchema, "The public set."), ...problems },
});

const patchStudent = createRoute({
  operationId: "retireStudent",
  ...provider,
  method: "patch",
  path: "/v1/admin/catalogue/students/{id}",
  summary: "Retire a student, or take it back into service",
  description: "What was submitted is finished, and its prompts keep working; new submissions are told.",
  request: { params: named, body: body(retirement) },
  responses: { 204: { description: "It is so." }, ...problems },
});

const patchPublicSet = createRoute({
  operationId: "retirePublicSet",
  ...provider,
  method: "patch",
  path: "/v1/admin/catalogue/public-sets/{id}",
  summary: "Retire a public set, or take it back into service",
  request: { params: named, body: body(retirement) },
  responses: { 204: { description: "It is so." }, ...problems },
});

export function addAdminCatalogueRoutes(app: App): void {
  app.openapi(getCatalogue, async (c) => c.json(await readCatalogue(c.env.PROMPTS), 200));

  app.openapi(postStudent, async (c) => {
    const student = c.req.valid("json");
    const files = (model: { digest: string; files: readonly { name: string }[] }) =>
      model.files.map(({ name }) => bucket.model(model.digest) + name);
    await requireObjects(c.env, [...files(student), ...files(student.target)]);
    await changeCatalogue(c.env.PROMPTS, (before) => withStudent(before, student));
    const detail = { digest: student.digest, target: student.target.digest };
    await registerOf(c.env).note({ actor: actorOf(c), action: "student.published", target: student.id, detail });
    return c.json(student, 201);
  });

  app.openapi(postPublicSet, async (c) => {
    const publicSet = c.req.valid("json");
    if (publicSet.id === AUTO) {
      throw new ProblemError("The name can't be used", `${AUTO} means any public set.`, { status: 422 });
    }
    await requireObjects(c.env, [bucket.publicSet(publicSet.digest)]);
    await changeCatalogue(c.env.PROMPTS, (before) => withPublicSet(before, publicSet));
    const detail = { digest: publicSet.digest };
    const deed = { actor: actorOf(c), action: "public-set.published", target: publicSet.id, detail };
    await registerOf(c.env).note(deed);
    return c.json(publicSet, 201);
  });

  app.openapi(patchStudent, async (c) => {
    const { retired } = c.req.valid("json");
    await retire(c.env, actorOf(c), "students", c.req.valid("param").id, retired);
    return c.body(null, 204);
  });

  app.openapi(patchPublicSet, async (c) => {
    const { retired } = c.req.valid("json");
    await retire(c.env, actorOf(c), "publicSets", c.req.valid("param").id, retired);
    return c.body(null, 204);
  });
}

async function retire(
  env: Env,
  actor: string,
  kind: "students" | "publicSets",
  id: string,
  retired: boolean,
): Promise<void> {
  await changeCatalogue(env.PROMPTS, (before) => withRetired(before, kind, id, retired));
  const what = kind === "students" ? "student" : "public-set";
  await registerOf(env).note({ actor, action: `${what}.${retired ? "retired" : "reinstated"}`, target: id });
}

/** @throws ProblemError (422) with the objects that are missing */
async function requireObjects(env: Env, keys: readonly string[]): Promise<void> {
  const there = await Promise.all(keys.map((key) => env.PROMPTS.head(key)));
  const faults = keys.filter((_, i) => !there[i]).map((key) => ({ at: key, message: "Is not in the bucket." }));
  if (faults.length === 0) return;
  const detail = "Its files come first: softpost admin catalogue publish does both.";
  throw new ProblemError("There is nothing to publish", detail, { status: 422, faults: faults.slice(0, 50) });
}

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { bucket } from "../../shared/protocol/bucket.ts";
import { nameSchema, publicSetListSchema, studentListSchema, studentSchema } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import type { App } from "../http/app-env.ts";
import { tenantWith } from "../http/auth.ts";
import { sendObject } from "../http/send-object.ts";
import { findStudent, readCatalogue } from "../storage/catalogue.ts";
import { file, fileHeaders, json, problems, secured } from "./route.ts";

const shared = { method: "get" as const, security: secured, middleware: [tenantWith("read")] };

const listStudents = createRoute({
  operationId: "listStudents",
  tags: ["Students"],
  ...shared,
  path: "/v1/students",
  summary: "Students on which prompts can be tuned",
  responses: { 200: json(studentListSchema, "All students."), ...problems },
});

const getStudent = createRoute({
  operationId: "getStudent",
  tags: ["Students"],
  ...shared,
  path: "/v1/students/{id}",
  summary: "One student",
  request: { params: z.object({ id: nameSchema }) },
  responses: { 200: json(studentSchema, "The student."), ...problems },
});

const getStudentFile = createRoute({
  operationId: "downloadStudentFile",
  tags: ["Students"],
  ...shared,
  path: "/v1/students/{id}/files/{name}",
  summary: "A file of a student's model folder; ranges and conditional requests work",
  request: { params: z.object({ id: nameSchema, name: nameSchema }), headers: fileHeaders },
  responses: { ...file, ...problems },
});

const listPublicSets = createRoute({
  operationId: "listPublicSets",
  tags: ["Students"],
  ...shared,
  path: "/v1/public-sets",
  summary: "Public data sets on which a transfer can run",
  responses: { 200: json(publicSetListSchema, "All public sets."), ...problems },
});

export function addCatalogueRoutes(app: App): void {
  app.openapi(listStudents, async (c) => {
    const { students } = await readCatalogue(c.env.PROMPTS);
    return c.json({ students }, 200);
  });

  app.openapi(getStudent, async (c) => {
    const student = findStudent(await readCatalogue(c.env.PROMPTS), c.req.valid("param").id);
    return c.json(student, 200);
  });

  app.openapi(getStudentFile, async (c) => {
    const { id, name } = c.req.valid("param");
    const student = findStudent(await readCatalogue(c.env.PROMPTS), id);
    const record = student.files.find((candidate) => candidate.name === name);
    if (!record) throw new ProblemError("Not found", `Student ${id} has no file ${name}.`, { status: 404 });
    return sendObject(c, bucket.model(student.digest) + name, record);
  });

  app.openapi(listPublicSets, async (c) => {
    const { publicSets } = await readCatalogue(c.env.PROMPTS);
    return c.json({ publicSets }, 200);
  });
}

import { prose } from "./commands.ts";
import type { Content, Description } from "./description.ts";
import { fieldRows, type Schemas } from "./schemas.ts";

/** The page of the API's routes. */
export function apiPage({ info, tags, paths, components: { schemas } }: Description): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );
  const sections = tags.map(({ name, description }) => {
    const own = operations.filter((operation) => operation.tags?.includes(name));
    const shown = own.map(
      ({ method, path, summary = "", description: about, parameters = [], requestBody, responses }) => {
        const takes = Object.keys(requestBody?.content ?? {});
        const rows = [
          ...parameters.map((each) => `| ${each.in} | \`${each.name}\`${each.required ? "" : " (optional)"} |`),
          ...takes.map((type) => `| body | \`${type}\` |`),
          ...Object.entries(responses).map(
            ([status, { description: meaning = "" }]) => `| ${status} | ${prose(meaning)} |`,
          ),
        ];
        const text = about ? [prose(about), ""] : [];
        return [
          `### ${method} ${prose(path)}`,
          "",
          prose(summary),
          "",
          ...text,
          "| takes, answers | |",
          "|---|---|",
          ...rows,
          "",
          ...fieldTables("Body", requestBody?.content, schemas),
          ...fieldTables("Answer", responses["200"]?.content ?? responses["202"]?.content, schemas),
        ].join("\n");
      },
    );
    return [`## ${name}`, "", prose(description), "", ...shown].join("\n");
  });
  const where =
    "Every provider describes its API at `/openapi.json` and shows it at `/docs`; this page is made from the same routes. A field with a question mark may be left out; `[]` stands for each of a list, `{}` for each of a record. Errors have the schema of the problems under [errors](../library.md#errors).";
  return ["# API", "", prose(info.description ?? ""), "", where, "", ...sections].join("\n");
}

/** A table of the fields of each kind of body that has a schema. */
function fieldTables(title: string, content: Content = {}, schemas: Schemas): string[] {
  return Object.entries(content).flatMap(([type, { schema }]) => {
    if (schema === undefined || type === "text/event-stream") return [];
    return [`**${title}**, \`${type}\`:`, "", "| field | type | |", "|---|---|---|", ...fieldRows(schema, schemas), ""];
  });
}

import { prose } from "./commands.ts";
import type { Description } from "./description.ts";

/** The page of the API's routes. */
export function apiPage({ info, tags, paths }: Description): string {
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
        ].join("\n");
      },
    );
    return [`## ${name}`, "", prose(description), "", ...shown].join("\n");
  });
  const where =
    "Every provider describes its API at `/openapi.json`, with all schemas, and shows it at `/docs`; this page is made from the same routes.";
  return ["# API", "", prose(info.description ?? ""), "", where, "", ...sections].join("\n");
}

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { type Provider, startProvider } from "./provider.ts";

interface Operation {
  readonly operationId?: string;
  readonly tags?: string[];
  readonly parameters?: { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Record<string, { readonly schema: unknown }> };
  readonly responses: Record<
    string,
    { headers?: Record<string, unknown>; content?: Record<string, { schema: unknown }> }
  >;
}

let provider: Provider;
let description: {
  readonly servers: { readonly url: string }[];
  readonly tags: { readonly name: string }[];
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, { readonly properties?: Record<string, unknown> }> };
};
let page: string;
const operations = () =>
  Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
  );
const operation = (id: string) => operations().find(({ operationId }) => operationId === id)!;
const headersOf = (id: string) =>
  operation(id).parameters?.flatMap((parameter) => (parameter.in === "header" ? [parameter.name] : []));

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  description = (await provider.fetchJson("/openapi.json")).body;
  page = await (await fetch(`${provider.url}/docs`)).text();
});

afterAll(() => provider.close());

describe("the OpenAPI description", () => {
  test("names every operation once, under a tag, at a server", () => {
    const ids = operations().map(({ operationId }) => operationId);
    expect(ids).not.toContain(undefined);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = description.tags.map(({ name }) => name);
    for (const { tags: own } of operations()) expect(tags).toEqual(expect.arrayContaining(own!));
    expect(description.servers).toEqual([{ url: "http://127.0.0.1:1" }]);
  });

  test("declares faults of the provider's, and when to come again", () => {
    for (const { responses } of operations()) {
      expect(responses["5XX"]?.headers).toHaveProperty("Retry-After");
      expect(responses["4XX"]?.headers).toHaveProperty("Retry-After");
    }
  });

  test("declares the headers that requests and answers have", () => {
    for (const id of ["submitTransfer", "submitPrediction"]) expect(headersOf(id)).toEqual(["idempotency-key"]);
    expect(operation("submitTransfer").responses["202"]!.headers).toHaveProperty("Location");
    expect(headersOf("followTransfer")).toEqual(["last-event-id"]);
    for (const id of ["downloadStudentFile", "downloadPromptFile"]) {
      expect(headersOf(id)).toEqual(["range", "if-range", "if-none-match"]);
      expect(operation(id).responses["200"]!.headers).toHaveProperty("ETag");
      expect(operation(id).responses["206"]!.headers).toHaveProperty("Content-Range");
    }
  });

  test("names the schemas of manifest, transfer and event, and every reference leads somewhere", () => {
    const { schemas } = description.components;
    for (const name of ["Manifest", "Transfer", "TransferEvent"]) expect(Object.keys(schemas)).toContain(name);
    expect(schemas.TransferEvent!.properties!.data).toMatchObject({
      contentSchema: { $ref: "#/components/schemas/Transfer" },
    });
    expect(schemas.QuoteRequest!.properties!.manifest).toEqual({ $ref: "#/components/schemas/Manifest" });
    expect(JSON.stringify(description)).not.toContain("#/$defs/");
    const references = [...JSON.stringify(description).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    expect(references.length).toBeGreaterThan(10);
    for (const [, name] of references) expect(Object.keys(schemas)).toContain(name);
  });
});

test("the page begins with a start and shows a client's routes apart from the provider's, each with a request", () => {
  const at = (text: string) => {
    expect(page).toContain(text);
    return page.indexOf(text);
  };
  expect(at("<h2>Start</h2>")).toBeLessThan(at("<h2>Routes for clients</h2>"));
  const [clients, providers] = page.split("<h2>Routes for the provider</h2>") as [string, string];
  expect(clients).not.toContain("/v1/admin");
  expect(clients).not.toContain("/internal/");
  for (const { path, method } of operations()) {
    const part = /^\/(v1\/admin\/|internal\/|healthz|version|metrics)/.test(path) ? providers : clients;
    expect(part).toContain(`<code>${path}</code>`);
    expect(part).toMatch(new RegExp(`curl -X ${method.toUpperCase()} [^\\n]*${path.replaceAll(/[{}]/g, ".")}`));
  }
});

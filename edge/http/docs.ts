import { html, raw } from "hono/html";

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[];
  readonly requestBody?: { readonly content?: Record<string, { readonly schema?: unknown }> };
  readonly responses: Record<
    string,
    { readonly description?: string; readonly content?: Record<string, { schema?: unknown }> }
  >;
}

interface Description {
  readonly info: { readonly title: string; readonly description?: string };
  readonly paths?: Record<string, Record<string, Operation>>;
  readonly components?: { readonly schemas?: Record<string, unknown> };
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f5f5f5;padding:.7rem;overflow:auto}
details{border-top:1px solid #ddd;padding:.4rem 0}summary{cursor:pointer}b{display:inline-block;width:4.5rem}`;

/** The OpenAPI description as one page that needs nothing from anywhere else: no script, no font, no style sheet. */
export function docsPage(description: unknown) {
  const { info, paths = {}, components } = description as Description;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => showOperation(method, path, operation)),
  );
  const schemas = Object.entries(components?.schemas ?? {}).map(
    ([name, schema]) =>
      html`<details id="${name}"><summary><code>${name}</code></summary>${showSchema(schema)}</details>`,
  );
  return html`<!doctype html><html lang="en"><meta charset="utf-8"><title>${info.title}</title><style>${raw(STYLE)}</style>
<h1>${info.title}</h1><p>${info.description}</p>
<p>Send <code>Authorization: Bearer KEY</code>. Errors are <code>application/problem+json</code>. For machines: <a href="/openapi.json">/openapi.json</a>.</p>
<h2>Routes</h2>${operations}<h2>Schemas</h2>${schemas}</html>`;
}

function showOperation(method: string, path: string, operation: Operation) {
  const parameters = (operation.parameters ?? []).map(
    ({ name, in: place, required }) => html`<li><code>${name}</code> in ${place}${required ? "" : ", optional"}</li>`,
  );
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(
    ([type, { schema }]) => html`<p>Body, <code>${type}</code>:</p>${showSchema(schema)}`,
  );
  const answers = Object.entries(operation.responses).map(([status, { description, content = {} }]) => {
    const shown = Object.values(content).map(({ schema }) => showSchema(schema));
    return html`<p><code>${status}</code> ${description}</p>${shown}`;
  });
  return html`<details><summary><b><code>${method.toUpperCase()}</code></b><code>${path}</code> ${operation.summary}</summary>
<p>${operation.description ?? ""}</p><ul>${parameters}</ul>${bodies}${answers}</details>`;
}

function showSchema(schema: unknown) {
  return html`<pre>${JSON.stringify(schema, null, 2)}</pre>`;
}

import { html, raw } from "hono/html";

interface Content {
  readonly schema?: unknown;
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: { readonly description?: string };
  }[];
  readonly requestBody?: { readonly content?: Record<string, Content> };
  readonly responses: Record<string, { readonly description?: string; readonly content?: Record<string, Content> }>;
}

interface Description {
  readonly info: { readonly title: string; readonly description?: string };
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths?: Record<string, Record<string, Operation>>;
  readonly components?: { readonly schemas?: Record<string, unknown> };
}

/** What only the provider needs stands behind what its clients need. */
const PROVIDERS = ["Administration", "Operation", "Internal"];

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f5f5f5;padding:.7rem;overflow:auto}
details{border-top:1px solid #ddd;padding:.4rem 0}summary{cursor:pointer}b{display:inline-block;width:4.5rem}`;

/** The OpenAPI description as one page that needs nothing from anywhere else: no script, no font, no style sheet. */
export function docsPage(description: unknown) {
  const { info, servers, tags, paths = {}, components } = description as Description;
  const url = servers[0]!.url;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
  const section = ({ name, description: about }: Description["tags"][number]) => {
    const shown = operations.filter(({ operation }) => operation.tags?.includes(name));
    return html`<h3>${name}</h3><p>${about}</p>${shown.map(({ method, path, operation }) => showOperation(url, method, path, operation))}`;
  };
  const schemas = Object.entries(components?.schemas ?? {}).map(
    ([name, schema]) =>
      html`<details id="${name}"><summary><code>${name}</code></summary>${showSchema(schema)}</details>`,
  );
  return html`<!doctype html><html lang="en"><meta charset="utf-8"><title>${info.title}</title><style>${raw(STYLE)}</style>
<h1>${info.title}</h1><p>${info.description}</p>
<h2>Start</h2>${start(url)}
<h2>Routes for clients</h2>${tags.filter(({ name }) => !PROVIDERS.includes(name)).map(section)}
<h2>Routes for the provider</h2>${tags.filter(({ name }) => PROVIDERS.includes(name)).map(section)}
<h2>Schemas</h2>${schemas}</html>`;
}

/** A client's whole way, with the command line and with any program that speaks HTTP. */
function start(url: string) {
  return html`<p>Send the key that the provider gave you as <code>Authorization: Bearer KEY</code>. Errors are <code>application/problem+json</code>, on OpenAI's routes in OpenAI's form. For machines: <a href="/openapi.json">/openapi.json</a>.</p>
<pre>export SOFTPOST_URL=${url} SOFTPOST_KEY=sp_…
softpost students                                    # what there is
softpost students STUDENT --out student              # tune a prompt on it, on your own machine
softpost quote  --prompt prompt --dataset my-data --public PUBLIC
softpost submit --prompt prompt --dataset my-data --public PUBLIC
softpost wait ID &amp;&amp; softpost download ID --out moved
softpost complete "The weather is" --model TARGET:ID # use it here, or with OpenAI's client at ${url}/v1</pre>
<p>The same without it:</p>
<pre>${SUBMIT.replaceAll("URL", url)}</pre>`;
}

const SUBMIT = `curl -H "Authorization: Bearer $SOFTPOST_KEY" URL/v1/students
curl -H "Authorization: Bearer $SOFTPOST_KEY" -H "Idempotency-Key: $(uuidgen)" URL/v1/transfers \\
  -F manifest=@prompt/softpost.json -F prompt=@prompt/adapter_model.safetensors \\
  -F 'options={"dataset":"my-data","publicSet":"PUBLIC"}'
curl -N -H "Authorization: Bearer $SOFTPOST_KEY" URL/v1/transfers/ID/events
curl -H "Authorization: Bearer $SOFTPOST_KEY" -O URL/v1/transfers/ID/prompt/adapter_model.safetensors`;

function showOperation(url: string, method: string, path: string, operation: Operation) {
  const parameters = (operation.parameters ?? []).map(
    ({ name, in: place, required, description, schema }) =>
      html`<li><code>${name}</code> in ${place}${required ? "" : ", optional"} ${description ?? schema?.description}</li>`,
  );
  const contents = Object.entries(operation.requestBody?.content ?? {});
  const bodies = contents.map(([type, { schema }]) => html`<p>Body, <code>${type}</code>:</p>${showSchema(schema)}`);
  const answers = Object.entries(operation.responses).map(([status, { description, content = {} }]) => {
    const shown = Object.values(content).map(({ schema }) => showSchema(schema));
    return html`<p><code>${status}</code> ${description}</p>${shown}`;
  });
  return html`<details><summary><b><code>${method.toUpperCase()}</code></b><code>${path}</code> ${operation.summary}</summary>
<p>${operation.description ?? ""}</p><pre>${example(url, method, path, contents[0]?.[0])}</pre><ul>${parameters}</ul>${bodies}${answers}</details>`;
}

/** A request with curl; what stands in braces is to be filled in. */
function example(url: string, method: string, path: string, type: string | undefined): string {
  const send = type === "application/json" ? ` -H "Content-Type: ${type}" -d @body.json` : "";
  const lines = type === "application/jsonl" ? ` -H "Content-Type: ${type}" --data-binary @texts.jsonl` : "";
  const parts = type?.startsWith("multipart")
    ? " -F manifest=@softpost.json -F prompt=@adapter_model.safetensors -F options=@options.json"
    : "";
  return `curl -X ${method.toUpperCase()} -H "Authorization: Bearer KEY"${send}${lines}${parts} '${url}${path}'`;
}

function showSchema(schema: unknown) {
  return html`<pre>${JSON.stringify(schema, null, 2)}</pre>`;
}

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { definitionName } from "../../infra/definitions.ts";
import { deployFaults } from "../../infra/deploy-faults.ts";
import { parseWrangler } from "../../infra/wrangler-config.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(`${root}/${path}`, "utf8");

interface Environment {
  readonly vars: Record<string, string>;
  readonly secrets: { readonly required: string[] };
  readonly durable_objects: { readonly bindings: { readonly name: string; readonly class_name: string }[] };
  readonly r2_buckets?: { readonly binding: string; readonly bucket_name: string }[];
  readonly ratelimits: { readonly name: string; readonly namespace_id: string }[];
}
type Config = Environment & {
  readonly assets: { readonly binding: string; readonly directory: string; readonly run_worker_first: boolean };
  readonly migrations: { readonly new_sqlite_classes?: string[] }[];
  readonly env: Record<string, Environment>;
};

const config = parse(read("wrangler.toml")) as unknown as Config;
const stages = Object.entries({ dev: config as Environment, ...config.env });

/** Fields of `Env`, and whether they must be there. */
const fields = [...read("edge/env.ts").matchAll(/readonly ([A-Z_0-9]+)(\??): (\w+)/g)].map(
  ([, name, optional, type]) => ({
    name: name!,
    optional: optional === "?",
    isText: type === "string",
  }),
);

describe.each(stages)("the stage %s", (_, { vars, secrets, durable_objects, ratelimits, r2_buckets = [] }) => {
  test("declares every variable and secret that the Worker reads, and no other", () => {
    const declared = [...Object.keys(vars), ...secrets.required];
    const texts = fields.filter(({ isText }) => isText).map(({ name }) => name);
    expect(texts.length).toBeGreaterThan(5);
    expect(declared.filter((name) => !texts.includes(name))).toEqual([]);
    const needed = fields.filter(({ isText, optional }) => isText && !optional).map(({ name }) => name);
    expect(needed.filter((name) => !declared.includes(name))).toEqual([]);
  });

  test("has no secret among its variables", () => {
    expect(Object.keys(vars).filter((name) => secrets.required.includes(name))).toEqual([]);
  });

  test("has every binding, and one bucket", () => {
    const limiters = ratelimits.map(({ name }) => name);
    const bindings = [
      ...[...durable_objects.bindings.map(({ name }) => name), ...limiters],
      ...r2_buckets.map(({ binding }) => binding),
      // Every stage has the top level's.
      config.assets.binding,
    ];
    const bucket = vars.S3_URL === undefined ? [] : ["PROMPTS"];
    const wanted = fields.filter(({ isText }) => !isText).map(({ name }) => name);
    expect([...bindings, ...bucket].toSorted()).toEqual(wanted.toSorted());
  });

  test("names a definition of its own queue", () => {
    expect(vars.BATCH_TRANSFER_DEFINITION).toBe(definitionName(vars.BATCH_QUEUE!, "transfer"));
    expect(vars.BATCH_PREDICT_DEFINITION).toBe(definitionName(vars.BATCH_QUEUE!, "predict"));
  });
});

test("the stages differ in values only", () => {
  const shapes = stages.map(
    ([
      ,
      {
        vars: { S3_URL: _, ...vars },
        secrets,
      },
    ]) => [Object.keys(vars).sort(), secrets.required],
  );
  for (const shape of shapes) expect(shape).toEqual(shapes[0]);
});

test("every Durable Object's class was made by a migration", () => {
  const made = config.migrations.flatMap(({ new_sqlite_classes }) => new_sqlite_classes ?? []);
  expect(config.durable_objects.bindings.map(({ class_name }) => class_name)).toEqual(made);
});

test("docs/deploy.md sets every secret", () => {
  const guide = read("docs/deploy.md");
  expect(config.secrets.required.filter((name) => !guide.includes(`secret put ${name}`))).toEqual([]);
});

test("wrangler would deploy it", async () => {
  const args = ["deploy", "--dry-run", "--env", "production", "--outdir", temporaryFolder()];
  const env = { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_API_TOKEN: "", CI: "1" };
  const { stdout } = await promisify(execFile)("wrangler", args, {
    cwd: root,
    env: { ...env, PATH: `${root}/node_modules/.bin:${process.env.PATH}` },
  });
  expect(stdout).toContain("env.TENANTS (Tenant)");
  expect(stdout).toContain("--dry-run: exiting now.");
});

describe("a deployment", () => {
  const wrangler = parseWrangler(read("wrangler.toml"));
  const withUrl = (PUBLIC_URL: string) => ({ ...wrangler, vars: { ...wrangler.vars, PUBLIC_URL } });

  test("of a stage whose address is an example's is refused, as the file comes", async () => {
    for (const stage of ["dev", ...Object.keys(wrangler.env)]) {
      expect(deployFaults(wrangler, stage)).toEqual([expect.stringContaining("an example")]);
    }
    const args = [`${root}/infra/deploy.ts`, "--env", "production"];
    const refused = promisify(execFile)(process.execPath, args, { cwd: root });
    await expect(refused).rejects.toMatchObject({ code: 1, stderr: /production: PUBLIC_URL is .*an example/ });
  });

  test("of one with its own address isn't", () => {
    expect(deployFaults(withUrl("https://softpost-production.me.workers.dev"), "dev")).toEqual([]);
    const wrong = [
      "http://post.me.dev",
      "https://post.me.dev/",
      "https://post.me.dev/v1",
      "post",
      "https://example.com",
    ];
    for (const url of wrong) expect(deployFaults(withUrl(url), "dev"), url).toHaveLength(1);
    expect(deployFaults(wrangler, "other")).toEqual([expect.stringContaining("no such stage")]);
  });
});

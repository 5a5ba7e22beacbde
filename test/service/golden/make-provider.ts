/**
 * Makes `provider-4e779c2.zip`: the folder of a provider as release 4e779c2 left it, with transfers in every state, and what its API said of it.
 * Run it with a checkout of that release that has its node_modules: `node make-provider.ts CHECKOUT provider-4e779c2.zip`.
 */
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [checkout = "", out = ""] = process.argv.slice(2);
const root = resolve(checkout);
const load = (path: string) => import(pathToFileURL(join(root, path)).href);
const { zipSync } = createRequire(join(root, "package.json"))("fflate");
const { RegisterJobDefinitionCommand } = createRequire(join(root, "package.json"))("@aws-sdk/client-batch");
const { startProvider, promptOf, uploadOf, OPTIONS, LIMITS } = await load("test/service/provider.ts");
const { loadBundle } = await load("infra/local/bundle.ts");

const folder = mkdtempSync(join(tmpdir(), "softpost-"));
const provider = await startProvider(await loadBundle(), folder);
// As `softpost serve` defines jobs: those that the machine took with it are tried again.
await provider.client.send(
  new RegisterJobDefinitionCommand({
    jobDefinitionName: "softpost-transfer",
    type: "container",
    containerProperties: { image: "none", command: ["sleep", "3600"] },
    retryStrategy: { attempts: 10 },
  }),
);

/** σ = 1, q = 0.01, 1 000 steps. */
const privacy = {
  sampler: "poisson",
  neighbouring: "add-or-remove-one",
  accountant: "rdp",
  epsilon: 2.2,
  delta: 1e-5,
  noiseMultiplier: 1,
  sampleRate: 0.01,
  steps: 1000,
  clip: 1,
  records: 10_000,
  batchSize: 100,
};
const tenant = await provider.tenant({ ...LIMITS, privacy: { epsilon: 10, delta: 1e-5 } }, ["read", "submit", "admin"]);
const submit = async (seed: number, key: string) => {
  const upload = uploadOf(promptOf(seed, { privacy }), OPTIONS);
  return (await tenant.submit(upload, { "idempotency-key": key })).body.id;
};
const job = (id: string) => `jobs/${tenant.id}-${id}/`;
const result = { files: [{ name: "x", size: 1, sha256: "a".repeat(64) }], deviceSeconds: 12.5, device: "CPU" };

async function report(id: string, event: object): Promise<void> {
  const spec = JSON.parse(Buffer.from(await provider.store.need(`${job(id)}spec.json`)).toString());
  const { status } = await fetch(`${provider.url}/internal/jobs/${tenant.id}-${id}/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${spec.report.token}`, "content-type": "application/json" },
    body: JSON.stringify({ attempt: 1, sequence: 3, progress: null, ...event }),
  });
  if (status !== 204) throw new Error(`The report was answered ${status}`);
}

const succeeded = await submit(1, "one");
await provider.store.write(`${job(succeeded)}output/x`, "x");
await provider.store.write(`${job(succeeded)}result.json`, JSON.stringify(result));
await report(succeeded, { state: "succeeded" });
const cancelled = await submit(2, "two");
await tenant.cancel(cancelled);
const queued = await submit(3, "three");
const running = await submit(4, "four");
await report(running, {
  state: "running",
  progress: { phase: "transfer", done: 5, total: 100, loss: 0.5 },
  step: 5,
});

const said = {
  tenant: tenant.id,
  key: tenant.key,
  succeeded,
  cancelled,
  queued,
  running,
  budget: (await tenant.get("/v1/budget")).body,
  ledger: (await tenant.get("/v1/ledger")).body,
  transfers: (await tenant.get("/v1/transfers")).body.transfers,
};
await provider.close({ keep: true });

const files: Record<string, Uint8Array> = { "said.json": Buffer.from(JSON.stringify(said, null, 2)) };
for (const path of globSync("**", { cwd: folder, exclude: (name) => /^worker(\.log|d\.pid)$/.test(String(name)) })) {
  if (statSync(join(folder, path)).isFile()) files[`provider/${path}`] = readFileSync(join(folder, path));
}
writeFileSync(out, zipSync(files, { level: 9 }));
rmSync(folder, { recursive: true });
process.stdout.write(`${Object.keys(files).length} files, ${statSync(out).size} bytes\n`);
process.exit();

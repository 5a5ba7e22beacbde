/** `softpost admin` against a real Worker. */
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { csvText } from "../../client/admin/usage-csv.ts";
import { loadBundle } from "../../infra/local/bundle.ts";
import { softpost, softpostProcess } from "../helpers/softpost.ts";
import { type Provider, promptOf, startProvider, uploadOf } from "./provider.ts";

let provider: Provider;
let secretFile: string;
let folder: string;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  await provider.define(["sleep", "60"]);
  folder = provider.folder;
  secretFile = join(folder, "secret");
  writeFileSync(secretFile, "admin-secret\n", { mode: 0o600 });
});

afterAll(() => provider.close());

const admin = (...args: string[]) => softpost("admin", ...args, "--url", provider.url, "--secret-file", secretFile);
const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await softpost(
    ...["--json", "admin", ...args, "--url", provider.url, "--secret-file", secretFile],
  );
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
};

test("a tenant's whole life, by its name, in the currency", async () => {
  const made = await json("tenants", "create", "Acme GmbH");
  expect(made.standing.money).toEqual({ limit: 100, used: 0, reserved: 0, left: 100 });
  const shown = await admin("limits", "show", "Acme GmbH");
  expect(shown.stdout).toContain("money (USD): 0 spent, 0 reserved, 100 left of 100");
  expect((await json("limits", "set", "Acme GmbH", "--money", "2.5", "--epsilon", "4")).limits).toMatchObject({
    micros: 2_500_000,
    concurrent: 10,
    privacy: { epsilon: 4, delta: 1e-5 },
  });
  expect((await json("limits", "set", made.id, "--delta", "1e-6")).limits.privacy).toEqual({ epsilon: 4, delta: 1e-6 });
  expect((await json("limits", "set", made.id, "--no-privacy")).limits.privacy).toBeNull();
  expect((await admin("limits", "set", made.id)).stderr).toContain("nothing to change");
  expect((await json("tenants", "set", "Acme GmbH", "--name", "Acme", "--retention-days", "30")).retentionDays).toBe(
    30,
  );
  expect((await json("tenants", "set", "Acme", "--no-retention")).retentionDays).toBeNull();
  expect((await admin("tenants", "suspend", "Acme")).stdout).toContain("Acme (suspended)");
  expect((await json("tenants", "resume", "Acme")).suspended).toBe(false);
  expect((await admin("tenants")).stdout).toContain(`${made.id}: Acme`);

  const refused = await admin("tenants", "delete", "Acme", "--confirm", "Acm");
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('--confirm "Acme"')]);
  expect((await json("tenants", "list")).tenants.map(({ id }: { id: string }) => id)).toContain(made.id);
  expect((await json("tenants", "delete", "Acme", "--confirm", "Acme")).id).toBe(made.id);
  expect((await admin("limits", "show", "Acme")).stderr).toContain("not known");
  const { entries } = await json("audit", "--tenant", made.id);
  expect(entries.at(-1)).toMatchObject({ action: "tenant.deleted", actor: "provider", tenant: made.id });
  expect((await json("tenants", "create", "Acme again", "--id", made.id)).id).toBe(made.id);
});

test("two tenants of one name are told apart by their ids", async () => {
  const [one, two] = [await json("tenants", "create", "Twin"), await json("tenants", "create", "Twin")];
  const { code, stderr } = await admin("limits", "show", "Twin");
  expect(code).toBe(1);
  for (const { id } of [one, two]) expect(stderr).toContain(id);
});

test("a key goes into a file of its own, is rotated without an outage and revoked", async () => {
  await json("tenants", "create", "Keys");
  const out = join(folder, "key");
  const made = await json("keys", "create", "Keys", "--name", "ci", "--scope", "read", "admin", "--out", out);
  expect(statSync(out).mode & 0o777).toBe(0o600);
  const key = readFileSync(out, "utf8").trim();
  expect(JSON.stringify(made)).not.toContain(key);
  const works = async (secret: string) =>
    (await fetch(`${provider.url}/v1/budget`, { headers: { authorization: `Bearer ${secret}` } })).status;
  expect(await works(key)).toBe(200);
  // A file that is there stays as it is, and no key is made.
  const again = await admin("keys", "create", "Keys", "--name", "ci", "--out", out);
  expect([again.code, readFileSync(out, "utf8").trim()]).toEqual([1, key]);
  const next = await json("keys", "rotate", "Keys", made.id, "--overlap-hours", "1");
  expect([await works(key), await works(next.key)]).toEqual([200, 200]);
  expect((await admin("keys", "list", "Keys")).stdout).toMatch(/ci \(read, admin\), made .*, last used 20/);
  expect((await json("keys", "revoke", "Keys", made.id)).revoked).toBe(true);
  expect([await works(key), await works(next.key)]).toEqual([401, 200]);
  expect((await admin("keys", "revoke", "Keys", next.id)).stderr).toContain("force=true");
  // A tenant's own admin key does the same for its own tenant.
  const tenant = next.key.split("_")[1];
  const own = join(folder, "own");
  writeFileSync(own, next.key, { mode: 0o600 });
  const mine = (...args: string[]) => softpost("admin", ...args, "--url", provider.url, "--secret-file", own);
  expect((await mine("keys", "list", tenant)).code).toBe(0);
  expect((await mine("usage", "--tenant", tenant)).stdout).toContain("Nothing ended");
  expect((await mine("tenants")).code).toBe(1);
  expect((await json("keys", "revoke", "Keys", next.id, "--force")).revoked).toBe(true);
});

test("a month's bill, as CSV too, and the audit log of all", async () => {
  const tenant = await provider.tenant();
  const { body } = await tenant.submit(uploadOf(promptOf(7)));
  const result = { files: [{ name: "x", size: 1, sha256: "a".repeat(64) }], deviceSeconds: 2.5, device: "CPU" };
  await provider.store.write(`jobs/${tenant.id}-${body.id}/result.json`, JSON.stringify(result));
  await tenant.cancel(body.id);
  const shown = await admin("transfers", tenant.id, "--state", "succeeded");
  expect(shown.stdout).toMatch(new RegExp(`^TRANSFER .*\\n${body.id}  succeeded`));
  expect((await json("transfers", tenant.id, "--state", "failed")).transfers).toEqual([]);
  const text = await admin("usage", "--tenant", tenant.id);
  expect(text.stdout).toContain("test, key key, small: 1 transfers, 3 device seconds, 0.003 USD");
  const csv = (await admin("usage", "--csv", "--tenant", tenant.id)).stdout.trimEnd().split("\n");
  expect(csv).toHaveLength(2);
  expect(csv[0]!.split(",")).toHaveLength(csv[1]!.split(",").length);
  expect(csv[1]).toMatch(
    new RegExp(`^20\\d\\d-\\d\\d,${tenant.id},test,[a-z2-7]{16},key,transfer,small,1,0,0.003000,USD,3,4$`),
  );
  expect((await admin("usage", "--month", "2026-13")).stderr).toContain("Is no month");
  const { entries } = await json("audit");
  expect(entries.length).toBeGreaterThan(10);
  const times = entries.map(({ at }: { at: string }) => at);
  expect(times).toEqual([...times].sort());
});

test("a name can't become a formula or a second column", () => {
  expect(["=1+1", "-x", "a,b", 'say "x"', null, "plain"].map(csvText)).toEqual([
    ...["'=1+1", "'-x", '"a,b"', '"say ""x"""', "", "plain"],
  ]);
});

test("a public set is published into the bucket and the catalogue, retired, and comes back", async () => {
  const file = join(folder, "fresh.jsonl");
  writeFileSync(file, '{"text": "one"}\n{"text": "two"}\n');
  const { s3, bucketName } = provider.worker;
  const environment = {
    SOFTPOST_BUCKET: bucketName,
    SOFTPOST_S3_ENDPOINT: s3,
    AWS_ACCESS_KEY_ID: "test-access-key",
    AWS_SECRET_ACCESS_KEY: "test-secret",
  };
  const args = ["admin", "catalogue", "publish", "--public", file, "--url", provider.url, "--secret-file", secretFile];
  const published = await softpostProcess(args, undefined, environment);
  expect([published.code, published.stdout]).toEqual([0, "public set fresh with 2 texts\n"]);
  expect((await admin("catalogue", "retire", "public-set", "fresh")).stdout).toContain("is retired");
  expect((await admin("catalogue")).stdout).toContain("public set fresh, 2 texts (retired)");
  await json("catalogue", "retire", "public-set", "fresh", "--undo");
  expect((await json("catalogue")).publicSets).toContainEqual(expect.objectContaining({ id: "fresh", retired: false }));
  expect((await admin("catalogue", "retire", "model", "fresh")).code).toBe(1);
  expect((await admin("catalogue", "publish")).stderr).toContain("nothing to publish");
});

test("the secret is no argument, and a file that others may read is refused", async () => {
  const none = await softpostProcess(["admin", "tenants", "--url", provider.url]);
  expect([none.code, none.stderr]).toEqual([1, expect.stringContaining("--secret-file")]);
  chmodSync(secretFile, 0o644);
  const shared = await admin("tenants");
  chmodSync(secretFile, 0o600);
  expect([shared.code, shared.stderr]).toEqual([1, expect.stringContaining("chmod 600")]);
  writeFileSync(join(folder, "wrong"), "not-it", { mode: 0o600 });
  const wrong = await softpost("admin", "tenants", "--url", provider.url, "--secret-file", join(folder, "wrong"));
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("admin secret is wrong")]);
});

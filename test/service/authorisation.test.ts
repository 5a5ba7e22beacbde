/** Who may do what: every route of the description, with every kind of key. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { type Provider, startProvider, type TenantClient } from "./provider.ts";

/** What each operation needs: a scope of a tenant's key, the provider's secret, that or the tenant's own admin key, or something that no key is. */
const NEEDS: Readonly<Record<string, "read" | "submit" | "infer" | "provider" | "owner" | "other">> = {
  listStudents: "read",
  getStudent: "read",
  downloadStudentFile: "read",
  listPublicSets: "read",
  quoteTransfer: "read",
  submitTransfer: "submit",
  listTransfers: "read",
  getTransfer: "read",
  followTransfer: "read",
  cancelTransfer: "submit",
  downloadPromptFile: "read",
  listModels: "infer",
  getModel: "infer",
  listAliases: "read",
  setAlias: "submit",
  removeAlias: "submit",
  createCompletion: "infer",
  createChatCompletion: "infer",
  classify: "infer",
  submitPrediction: "infer",
  listPredictions: "infer",
  getPrediction: "infer",
  followPrediction: "infer",
  cancelPrediction: "infer",
  downloadPredictions: "infer",
  getBudget: "read",
  getLedger: "read",
  getUsage: "read",
  listTenants: "provider",
  createTenant: "provider",
  setLimits: "provider",
  listKeys: "owner",
  createKey: "owner",
  revokeKey: "owner",
  exportTenant: "owner",
  deleteTenant: "provider",
  restoreLedger: "provider",
  reportJob: "other",
  reportBatchEvent: "other",
  reportUsage: "other",
};
const SCOPES = ["read", "submit", "infer"] as const;

interface Route {
  readonly id: string;
  readonly method: string;
  readonly path: string;
}

let provider: Provider;
let tenant: TenantClient;
let routes: Route[];
let keys: Record<string, string | undefined>;

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  tenant = await provider.tenant();
  const admin = { authorization: "Bearer admin-secret", "content-type": "application/json" };
  const make = async (scopes: string[]) => {
    const init = { method: "POST", headers: admin, body: JSON.stringify({ name: "key", scopes }) };
    return (await provider.fetchJson(`/v1/admin/tenants/${tenant.id}/keys`, init)).body.key;
  };
  keys = {
    read: await make(["read"]),
    submit: await make(["submit"]),
    infer: await make(["infer"]),
    admin: await make(["admin"]),
    // Of another tenant, with all that there is.
    foreign: (await provider.tenant({}, ["admin"])).key,
    provider: "admin-secret",
    none: undefined,
    malformed: "sp_x",
  };
  const { body } = await provider.fetchJson("/openapi.json");
  routes = Object.entries<Record<string, { operationId: string }>>(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => ({
      id: operationId,
      method: method.toUpperCase(),
      path,
    })),
  );
});

afterAll(() => provider.close());

/** The status of a request that is wrong in everything but its key. */
async function statusOf({ method, path }: Route, key: string | undefined, address: string): Promise<number> {
  const filled = path
    .replace("{tenant}", tenant.id)
    .replace("{job}", `${tenant.id}-${"a".repeat(16)}`)
    .replaceAll(/\{\w+\}/g, "a".repeat(16));
  const headers = {
    "content-type": "application/json",
    "cf-connecting-ip": address,
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
  };
  const body = ["GET", "DELETE"].includes(method) ? {} : { body: "{}" };
  const response = await fetch(provider.url + filled, { method, headers, ...body });
  await response.body?.cancel();
  return response.status;
}

function mayPass(need: string, who: string): boolean {
  if (need === "provider") return who === "provider";
  if (need === "owner") return who === "provider" || who === "admin";
  return need === who;
}

test("every route is known here", () => {
  expect(routes.map(({ id }) => id).sort()).toEqual(Object.keys(NEEDS).sort());
});

test("every route lets in whoever has what it needs, and nobody else", async () => {
  const wrong: string[] = [];
  let asked = 0;
  // What ends the tenant comes last.
  const order = routes.toSorted((a, b) => Number(a.id === "deleteTenant") - Number(b.id === "deleteTenant"));
  for (const route of order) {
    for (const [who, key] of Object.entries(keys)) {
      const need = NEEDS[route.id]!;
      // An address that guesses is soon answered with 429: each is asked from its own.
      const status = await statusOf(route, key, `192.0.2.${asked++}`);
      const known = SCOPES.some((scope) => scope === who) || who === "admin" || who === "foreign";
      const refusals = need === "other" ? [401, 404, 422] : need === "provider" || !known ? [401] : [401, 403];
      const passed = ![401, 403].includes(status) && need !== "other";
      if (passed !== mayPass(need, who) || (!passed && !refusals.includes(status))) {
        wrong.push(`${route.id} for ${who}: ${status}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

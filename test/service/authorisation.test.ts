/** Who may call what: every operation of the description, with a key of every kind. A new route needs a line here. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadBundle } from "../../infra/local/bundle.ts";
import { type Provider, startProvider } from "./provider.ts";

/** `internal`: neither keys nor the admin secret open it. */
const MAY: Readonly<Record<string, readonly Role[] | "everybody" | "internal">> = {
  listStudents: ["read"],
  getStudent: ["read"],
  downloadStudentFile: ["read"],
  listPublicSets: ["read"],
  quoteTransfer: ["read"],
  submitTransfer: ["submit"],
  listTransfers: ["read"],
  getTransfer: ["read"],
  followTransfer: ["read"],
  cancelTransfer: ["submit"],
  deleteTransfer: ["submit"],
  downloadPromptZip: ["read"],
  downloadPromptFile: ["read"],
  listModels: ["infer"],
  getModel: ["infer"],
  listAliases: ["read"],
  setAlias: ["submit"],
  removeAlias: ["submit"],
  createCompletion: ["infer"],
  createChatCompletion: ["infer"],
  classify: ["infer"],
  submitPrediction: ["infer"],
  listPredictions: ["infer"],
  getPrediction: ["infer"],
  followPrediction: ["infer"],
  cancelPrediction: ["infer"],
  downloadPredictions: ["infer"],
  getUsage: ["read"],
  getBudget: ["read"],
  getLedger: ["read"],
  listReleases: ["read"],
  listTenants: ["provider"],
  createTenant: ["provider"],
  getTenant: ["provider"],
  changeTenant: ["provider"],
  getTenantBudget: ["provider"],
  setLimits: ["provider"],
  changeLimits: ["provider"],
  listTenantTransfers: ["provider"],
  listKeys: ["provider", "admin"],
  createKey: ["provider", "admin"],
  rotateKey: ["provider", "admin"],
  revokeKey: ["provider", "admin"],
  listWebhooks: ["provider", "admin"],
  createWebhook: ["provider", "admin"],
  deleteWebhook: ["provider", "admin"],
  listDeliveries: ["provider", "admin"],
  redeliver: ["provider", "admin"],
  listBackups: ["provider"],
  makeBackup: ["provider"],
  restoreBackup: ["provider"],
  getCatalogue: ["provider"],
  publishStudent: ["provider"],
  publishPublicSet: ["provider"],
  retireStudent: ["provider"],
  retirePublicSet: ["provider"],
  getUsageOfAll: ["provider"],
  getDailyUsageOfTenant: ["provider", "admin"],
  getUsageOfTenant: ["provider", "admin"],
  getAudit: ["provider"],
  getTenantAudit: ["provider", "admin"],
  exportTenant: ["provider", "admin"],
  deleteTenant: ["provider"],
  restoreLedger: ["provider"],
  getHealth: "everybody",
  getVersion: "everybody",
  getMetrics: ["provider"],
  reportJob: "internal",
  reportBatchEvent: "internal",
  reportUsage: "internal",
};

const ROLES = ["nobody", "read", "submit", "infer", "admin", "admin of another", "provider"] as const;
type Role = (typeof ROLES)[number];

/** Where the body is read before the secret is asked for, it must be a right one. */
const BODIES: Readonly<Record<string, unknown>> = {
  reportJob: { attempt: 1, sequence: 0, state: "running", progress: null },
  reportBatchEvent: { job: "another" },
};

interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
}

let provider: Provider;
let operations: Operation[];
let tenant: string;
const keys = new Map<Role, string>();

beforeAll(async () => {
  provider = await startProvider(await loadBundle());
  const { body } = await provider.fetchJson("/openapi.json");
  operations = Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, { operationId: string }>).map(([method, { operationId }]) => ({
      id: operationId,
      method: method.toUpperCase(),
      path,
    })),
  );
  const own = await provider.tenant({}, ["admin"]);
  tenant = own.id;
  keys.set("admin", own.key);
  for (const scope of ["read", "submit", "infer"] as const) {
    const { body } = await provider.fetchJson(`/v1/admin/tenants/${tenant}/keys`, {
      method: "POST",
      headers: { ...own.headers, "content-type": "application/json" },
      body: JSON.stringify({ name: scope, scopes: [scope] }),
    });
    keys.set(scope, body.key);
  }
  keys.set("admin of another", (await provider.tenant({}, ["admin"])).key);
  keys.set("provider", "admin-secret");
});

afterAll(() => provider.close());

test("every operation has its line, and every line its operation", () => {
  expect(operations.map(({ id }) => id).sort()).toEqual(Object.keys(MAY).sort());
});

test.each(Object.keys(MAY))("%s is for those who may", async (id) => {
  const { method, path } = operations.find((each) => each.id === id)!;
  const may = MAY[id]!;
  const outcome: Record<string, boolean> = {};
  for (const role of ROLES) {
    // The provider's own requests name a tenant that is not there, so that none is deleted.
    const own = role === "provider" ? "a".repeat(16) : tenant;
    const url = path
      .replace("{tenant}", own)
      .replace("{job}", `${own}-${"b".repeat(16)}`)
      .replaceAll(/\{\w+\}/g, "b".repeat(16));
    const key = keys.get(role);
    const headers = {
      "cf-connecting-ip": `role ${role} ${id}`,
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    };
    // A body that no route takes: nothing is changed.
    const body = ["POST", "PUT", "PATCH"].includes(method)
      ? {
          body: id in BODIES ? JSON.stringify(BODIES[id]) : "no",
          headers: { ...headers, "content-type": "application/json" },
        }
      : { headers };
    const response = await fetch(provider.url + url, { method, ...body, redirect: "manual" });
    await response.body?.cancel();
    outcome[role] = ![401, 403].includes(response.status);
  }
  const expected = ROLES.map((role) => [role, may === "everybody" || (may !== "internal" && may.includes(role))]);
  expect(outcome).toEqual(Object.fromEntries(expected));
});

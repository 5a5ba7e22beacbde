import { z } from "zod";
import { type Limits, limitsSchema } from "../../shared/protocol/budget.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";

/** Of a provider on one's own machine: generous, but not without limits. */
const LIMITS: Limits = {
  micros: 1e9,
  deviceSeconds: 1e6,
  virtualTokens: 1e6,
  concurrent: 10,
  daily: 1000,
  privacy: null,
  tokens: 1e9,
};
const SCOPES = ["read", "submit", "infer", "admin"];
/** Where only the privacy limit's epsilon is given. */
const DELTA = 1e-5;

/** Limits to set; undefined for those that stay as they are. */
export type WantedLimits = {
  readonly [K in Exclude<keyof Limits, "privacy">]?: Limits[K] | undefined;
} & { readonly epsilon?: number | undefined; readonly delta?: number | undefined };

const tenantSchema = z.object({ id: z.string(), limits: limitsSchema });

const keysSchema = z.object({
  keys: z.array(z.object({ id: z.string(), scopes: z.array(z.string()), revoked: z.string().nullable() })),
});

/** Makes a provider's first tenant, or gives the one that is there other limits. */
export class FirstTenant {
  private readonly url: string;
  private readonly adminSecret: string;

  constructor(url: string, adminSecret: string) {
    this.url = url;
    this.adminSecret = adminSecret;
  }

  /** @returns its key, which is shown only now, and its limits */
  async make(wanted: WantedLimits): Promise<{ key: string; limits: Limits }> {
    const body = { name: "local", limits: changed(LIMITS, wanted) };
    const { id, limits } = tenantSchema.parse(await this.ask("POST", "/v1/admin/tenants", body));
    return { key: await this.makeKey(id), limits };
  }

  /**
   * A key that may do all that this release can. Keys of earlier ones may not ask models: then it is a new one, and the tenant gets tokens. The old
   * key goes on as it was.
   */
  async upgrade(key: string): Promise<string> {
    const [, id, keyId] = key.split("_");
    const tenant = await this.find(id!);
    if (!tenant) return key;
    const { keys } = keysSchema.parse(await this.ask("GET", `/v1/admin/tenants/${id}/keys`));
    const mine = keys.find((each) => each.id === keyId);
    if (!mine || mine.revoked !== null || mine.scopes.includes("infer")) return key;
    const tokens = tenant.limits.tokens ?? LIMITS.tokens;
    await this.ask("PUT", `/v1/admin/tenants/${id}/limits`, { ...tenant.limits, tokens });
    return this.makeKey(id!);
  }

  /**
   * Sets the limits that are wanted; the others stay.
   *
   * @returns all of them as they are now; null if the tenant's data was deleted and none is wanted
   * @throws ProblemError if the tenant's data was deleted
   */
  async limit(key: string, wanted: WantedLimits): Promise<Limits | null> {
    const id = key.split("_")[1]!;
    const tenant = await this.find(id);
    const none = Object.values(wanted).every((value) => value === undefined);
    if (none) return tenant?.limits ?? null;
    if (!tenant)
      throw new ProblemError("The limits can't be set", "The data of the provider's first tenant was deleted.");
    const limits = changed(tenant.limits, wanted);
    return tenantSchema.parse(await this.ask("PUT", `/v1/admin/tenants/${id}/limits`, limits)).limits;
  }

  private async find(id: string) {
    const { tenants } = z.object({ tenants: z.array(tenantSchema) }).parse(await this.ask("GET", "/v1/admin/tenants"));
    return tenants.find((each) => each.id === id);
  }

  private async makeKey(id: string): Promise<string> {
    const made = await this.ask("POST", `/v1/admin/tenants/${id}/keys`, { name: "first", scopes: SCOPES });
    return z.object({ key: z.string() }).parse(made).key;
  }

  private async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const headers = { authorization: `Bearer ${this.adminSecret}`, "content-type": "application/json" };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(this.url + path, { method, headers, ...sent });
    if (response.ok) return response.json();
    const { detail } = z.object({ detail: z.string() }).parse(await response.json());
    throw new ProblemError("The first tenant can't be set up", `${method} ${path}: ${detail}`, { status: 500 });
  }
}

/** @throws ProblemError if a delta is wanted where privacy isn't limited */
function changed(limits: Limits, { epsilon = limits.privacy?.epsilon, delta, ...others }: WantedLimits): Limits {
  const given = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined));
  if (epsilon === undefined && delta !== undefined) {
    throw new ProblemError("There is no privacy limit", "--delta-limit is a part of one; give --epsilon-limit too.");
  }
  const privacy = epsilon === undefined ? null : { epsilon, delta: delta ?? limits.privacy?.delta ?? DELTA };
  return { ...limits, ...given, privacy };
}

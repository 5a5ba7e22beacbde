/** The Worker with a bucket that fails or hangs where a request's header asks for it, and with ledgers whose time can be moved. */
import type { Env } from "../../edge/env.ts";
import { ADDED_COLUMNS } from "../../edge/ledger/schema.ts";
import { Tenant as RealTenant } from "../../edge/ledger/tenant.ts";
import worker from "../../edge/main.ts";

export { Register } from "../../edge/ledger/register.ts";

/** What a test asks of a ledger: `/test/COMMAND/TENANT/NUMBER`. */
type Command = "age" | "outdate" | "swell" | "jam";

export class Tenant extends RealTenant {
  /** Makes all transfers older, and all leases end sooner. */
  age(milliseconds: number): void {
    const { sql } = this.ctx.storage;
    const columns = ["created", "updated", "leased_until"].map((name) => `${name} = ${name} - ${milliseconds}`);
    sql.exec(`UPDATE transfers SET ${columns.join(", ")}`);
    sql.exec(`UPDATE removals SET asked = asked - ${milliseconds}, next = next - ${milliseconds}`);
    sql.exec(`UPDATE uploads SET begun = begun - ${milliseconds}, next = next - ${milliseconds}`);
    sql.exec(`UPDATE deliveries SET next = next - ${milliseconds}`);
    void this.ctx.storage.setAlarm(Date.now());
  }

  /** Makes so many transfers of its first one, each with 18 kB of losses. */
  swell(times: number): void {
    const { sql } = this.ctx.storage;
    const [row] = sql.exec("SELECT * FROM transfers LIMIT 1").toArray();
    const losses = JSON.stringify(Array.from({ length: 600 }, (_, step) => ({ step, loss: 1 / (step + 3) })));
    for (let i = 0; i < times; i++) {
      const id = `${row!.id}`.slice(4) + String(i).padStart(4, "0");
      const copy = { ...row!, id, idempotency_key: `copy ${i}`, losses };
      const marks = Object.keys(copy).map(() => "?");
      sql.exec(
        `INSERT INTO transfers (${Object.keys(copy).join(", ")}) VALUES (${marks.join(", ")})`,
        ...Object.values(copy),
      );
    }
  }

  private jammed = false;

  /** From now on no usage can be settled. */
  jam(): void {
    this.jammed = true;
  }

  override settleTokens(records: Parameters<RealTenant["settleTokens"]>[0]): void {
    if (this.jammed) throw new Error("jammed");
    super.settleTokens(records);
  }

  /** Makes the ledger one that an earlier release has written. */
  outdate(): void {
    for (const name of Object.keys(ADDED_COLUMNS))
      this.ctx.storage.sql.exec(`ALTER TABLE transfers DROP COLUMN ${name}`);
  }
}

export default {
  async fetch(request, env, ctx) {
    const [, what, tenant, number] =
      /^\/test\/(age|outdate|swell|jam)\/(\w+)\/?(\d*)$/.exec(new URL(request.url).pathname) ?? [];
    if (tenant === undefined) return worker.fetch(request, withFault(env, request.headers.get("x-test-fault")), ctx);
    await ledgerOf(env, tenant)[what as Command](Number(number));
    return Response.json({});
  },
  scheduled: worker.scheduled,
} satisfies ExportedHandler<Env>;

/** A tenant's ledger, of whose jobs an object is. */
function ledgerOf(env: Env, tenant: string) {
  return env.TENANTS.get(env.TENANTS.idFromName(tenant)) as unknown as Pick<Tenant, Command>;
}

/**
 * `put NAME` fails the writing of the object that ends in NAME, `hang NAME` never answers it, `lost NAME` writes it and never answers, and before `late NAME` there pass ten minutes in which
 * the scheduled run looks after its tenant.
 */
function withFault(env: Env, header: string | null): Env {
  const [fault, name] = header?.split(" ") ?? [];
  if (fault === undefined || name === undefined) return env;
  const put = async (key: string, ...rest: unknown[]) => {
    const write = () => (env.PROMPTS.put as (...args: unknown[]) => unknown)(key, ...rest);
    if (!key.endsWith(name)) return write();
    if (fault === "lost") await write();
    if (fault === "late") {
      await ledgerOf(env, /^jobs\/(\w+)-/.exec(key)![1]!).age(600_000);
      await worker.scheduled({} as ScheduledController, env);
      return write();
    }
    if (fault === "hang" || fault === "lost") return new Promise(() => {});
    throw new Error("put: Internal error");
  };
  const prompts = new Proxy(env.PROMPTS, {
    get: (target, property) => {
      if (property === "put") return put;
      const value = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...env, PROMPTS: prompts };
}

import { createApp } from "./app.ts";
import type { Env } from "./env.ts";
import { reconcileAll } from "./reconcile.ts";

export { Tenant } from "./ledger/tenant.ts";

const app = createApp();

export default {
  fetch: app.fetch,
  scheduled: (_event, env) => reconcileAll(env),
} satisfies ExportedHandler<Env>;

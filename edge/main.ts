import { createApp } from "./app.ts";
import type { Env } from "./env.ts";
import { withStore } from "./storage/choose-store.ts";
import { reconcileAll } from "./transfers/reconcile.ts";

export { Register } from "./ledger/register.ts";
export { Tenant } from "./ledger/tenant.ts";

const app = createApp();

export default {
  fetch: (request, env, context) => app.fetch(request, withStore(env), context),
  scheduled: (_event, env) => reconcileAll(withStore(env)),
} satisfies ExportedHandler<Env>;

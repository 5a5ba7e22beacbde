import { OpenAPIHono } from "@hono/zod-openapi";
import { cors } from "hono/cors";
import { secureHeaders } from "hono/secure-headers";
import { CONSOLE_PATH } from "../shared/protocol/console.ts";
import type { App, AppEnv } from "./http/app-env.ts";
import { docsPage } from "./http/docs.ts";
import { invalidRequest, onError } from "./http/errors.ts";
import { logRequests } from "./http/log.ts";
import { measureRequests } from "./http/measure.ts";
import { notFound, refuseUnknown } from "./http/strict-request.ts";
import { limitStrangers } from "./http/unknown-callers.ts";
import { drainBody } from "./http/unread-body.ts";
import { addAdminRoutes } from "./routes/admin.ts";
import { addBatchRoutes } from "./routes/batch-events.ts";
import { addBudgetRoutes } from "./routes/budget.ts";
import { addCatalogueRoutes } from "./routes/catalogue.ts";
import { addConsole, consoleHeaders } from "./routes/console.ts";
import { addHealthRoutes } from "./routes/health.ts";
import { addInferenceRoutes } from "./routes/inference.ts";
import { addJobRoutes } from "./routes/jobs.ts";
import { addModelRoutes } from "./routes/models.ts";
import { addPredictionRoutes } from "./routes/predictions.ts";
import { addPromptZipRoutes } from "./routes/prompt-zip.ts";
import { addQuoteRoutes } from "./routes/quotes.ts";
import { addRemovalRoutes } from "./routes/removal.ts";
import { addSubmitRoutes } from "./routes/submit.ts";
import { addTenantDataRoutes } from "./routes/tenant-data.ts";
import { addTransferRoutes } from "./routes/transfers.ts";
import { addUsageRoutes } from "./routes/usage.ts";

const INFO = {
  title: "softpost",
  version: "1",
  description:
    "Transfers soft prompts from a small student to the language model that it was distilled from (POST). The private data stays with the client: only the prompt and its manifest are sent to be transferred. A tenant has a rate limit, and so has an address that sends requests without a valid key: both are answered with 429 and Retry-After.",
};

/** In the order of a client's way; the last two are the provider's own. */
const TAGS = [
  { name: "Students", description: "What the provider offers: models to tune prompts on, and public texts." },
  { name: "Transfers", description: "From a quote to the transferred prompt." },
  {
    name: "Inference",
    description:
      "Asking the provider's models, behind a transferred prompt or without one; in the form of OpenAI's API, its errors too. The provider sees the texts.",
  },
  { name: "Budgets", description: "What is spent, reserved and left." },
  {
    name: "Administration",
    description: "Tenants, their keys, limits and data: with the admin secret, or a tenant's own admin key.",
  },
  { name: "Operation", description: "Whether it is well: for probes, and for the provider's own monitoring." },
  { name: "Internal", description: "Between the provider's own parts; no client needs them." },
];

export function createApp(): App {
  const app: App = new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.error, result.target);
    },
  });
  app.onError(onError);
  app.notFound((c) => notFound(app, c));
  app.use(`${CONSOLE_PATH}*`, consoleHeaders);
  app.use(
    logRequests,
    measureRequests,
    drainBody,
    secureHeaders({ contentSecurityPolicy: { defaultSrc: ["'none'"], styleSrc: ["'unsafe-inline'"] } }),
  );
  app.use((c, next) => {
    const allowed = c.env.CORS_ORIGINS.split(",").filter(Boolean);
    return cors({
      origin: allowed,
      exposeHeaders: ["etag", "location", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id"],
      maxAge: 600,
    })(c, next);
  });

  app.use(limitStrangers, refuseUnknown(app));

  addCatalogueRoutes(app);
  addQuoteRoutes(app);
  addSubmitRoutes(app);
  addTransferRoutes(app);
  addModelRoutes(app);
  addInferenceRoutes(app);
  addPredictionRoutes(app);
  addPromptZipRoutes(app);
  addRemovalRoutes(app);
  addBudgetRoutes(app);
  addUsageRoutes(app);
  addAdminRoutes(app);
  addTenantDataRoutes(app);
  addHealthRoutes(app);
  addJobRoutes(app);
  addBatchRoutes(app);

  app.openAPIRegistry.registerComponent("securitySchemes", "key", { type: "http", scheme: "bearer" });
  app.get("/openapi.json", (c) => c.json(describeApi(app, c.env.PUBLIC_URL)));
  app.get("/docs", (c) => c.html(docsPage(describeApi(app, c.env.PUBLIC_URL))));
  addConsole(app);
  app.get("/", (c) => c.redirect(c.env.ASSETS ? "/console/" : "/docs"));
  return app;
}

/** The OpenAPI description of the routes, at a provider's address. */
export function describeApi(app: App, url: string) {
  return app.getOpenAPI31Document({ openapi: "3.1.0", info: INFO, servers: [{ url }], tags: TAGS });
}

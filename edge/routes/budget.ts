import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { budgetSchema, ledgerEntrySchema, releaseListSchema } from "../../shared/protocol/budget.ts";
import { optionsSchema } from "../../shared/protocol/transfer-options.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith } from "../http/auth.ts";
import { rateOf } from "../transfers/price.ts";
import { json, problems, secured } from "./route.ts";

const PAGE = 1000;

const shared = { method: "get" as const, security: secured, middleware: [tenantWith("read")] };

const getBudget = createRoute({
  operationId: "getBudget",
  tags: ["Budgets"],
  ...shared,
  path: "/v1/budget",
  summary: "What is spent, reserved and left of every budget",
  responses: { 200: json(budgetSchema, "The budgets."), ...problems },
});

const getLedger = createRoute({
  operationId: "getLedger",
  tags: ["Budgets"],
  ...shared,
  path: "/v1/ledger",
  summary: "Every reservation, settlement and refund, oldest first",
  request: { query: z.object({ after: z.coerce.number<string>().int().nonnegative().default(0) }) },
  responses: {
    200: json(z.object({ entries: z.array(ledgerEntrySchema) }), `At most ${PAGE}; go on with after=sequence.`),
    ...problems,
  },
});

const getReleases = createRoute({
  operationId: "listReleases",
  tags: ["Budgets"],
  ...shared,
  path: "/v1/releases",
  summary: "Every prompt that was released from a data set, with its privacy record, oldest first",
  description: "What the data set's epsilon in the budget is composed of.",
  request: { query: z.object({ dataset: optionsSchema.shape.dataset }) },
  responses: { 200: json(releaseListSchema, "The releases."), ...problems },
});

export function addBudgetRoutes(app: App): void {
  app.openapi(getBudget, async (c) => {
    const budget = await ledgerOf(c.env, c.get("tenant")).budget(c.env.CURRENCY);
    return c.json({ ...budget, rate: rateOf(c.env) }, 200);
  });

  app.openapi(getReleases, async (c) => {
    const releases = await ledgerOf(c.env, c.get("tenant")).releases(c.req.valid("query").dataset);
    return c.json({ releases }, 200);
  });

  app.openapi(getLedger, async (c) => {
    const entries = await ledgerOf(c.env, c.get("tenant")).ledger(PAGE, c.req.valid("query").after);
    return c.json({ entries }, 200);
  });
}

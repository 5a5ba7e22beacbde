import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { ID_PATTERN } from "../../shared/protocol/ids.ts";
import { parseJson, validate } from "../../shared/protocol/json.ts";
import { type UsageRow, usageSchema } from "../../shared/protocol/metering.ts";
import {
  MAX_RECORDS,
  type Untaken,
  USAGE_HEADERS,
  type UsageRecord,
  untakenSchema,
  usageReportSchema,
  verifyUsage,
} from "../../shared/protocol/usage-report.ts";
import type { Env } from "../env.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import { limitBody } from "../http/upload.ts";
import { startOfDay } from "../ledger/times.ts";
import { json, problems, secured } from "./route.ts";

const DAY_MS = 86_400_000;
/** The days that an answer has where none are named, and at most. */
const DAYS = 31;
const MAX_DAYS = 366;
/** Of a record in a report, with its ids and numbers. */
const RECORD_BYTES = 320;

const dateSchema = z.iso.date();

const getUsage = createRoute({
  operationId: "getUsage",
  tags: ["Budgets"],
  method: "get",
  path: "/v1/usage",
  summary: "Tokens and what they cost, by day and model",
  security: secured,
  middleware: [tenantWith("read")],
  request: {
    query: z.object({
      from: dateSchema.optional().describe(`First day in UTC; without it, ${DAYS} days are shown.`),
      to: dateSchema.optional().describe("Last day; without it, today."),
      format: z.enum(["json", "csv"]).default("json"),
    }),
  },
  responses: {
    200: {
      description: "What was used; requests that are under way are in the budget only.",
      content: { ...json(usageSchema, "").content, "text/csv": { schema: { type: "string" as const } } },
    },
    ...problems,
  },
});

const postReport = createRoute({
  operationId: "reportUsage",
  tags: ["Internal"],
  method: "post",
  path: "/internal/usage",
  summary: "A serving process's report of what requests used",
  description: "Signed with the secret that it shares with the Worker. A record that comes twice counts once.",
  middleware: [limitBody(MAX_RECORDS * RECORD_BYTES)],
  request: {
    headers: z.object({
      [USAGE_HEADERS.timestamp]: z.string().optional(),
      [USAGE_HEADERS.signature]: z.string().optional(),
    }),
    body: {
      required: true,
      content: { "application/json": { schema: { $ref: "#/components/schemas/UsageReport" } } },
    },
  },
  responses: {
    204: { description: "It is noted, or was before." },
    503: json(untakenSchema, "Some of it is noted; these records are to be sent again."),
    ...problems,
  },
});

export function addUsageRoutes(app: App): void {
  app.openAPIRegistry.register("UsageReport", usageReportSchema);

  app.openapi(getUsage, async (c) => {
    const { from, to, format } = c.req.valid("query");
    const last = to === undefined ? Date.now() : Date.parse(to);
    const first = from === undefined ? last - (DAYS - 1) * DAY_MS : Date.parse(from);
    if (first > last || last - first >= MAX_DAYS * DAY_MS) {
      const faults = [{ at: "query#/from", message: `Must be at most ${MAX_DAYS - 1} days before the last day.` }];
      throw new ProblemError("The request is not valid", "Its days are no span that is shown.", { faults });
    }
    const rows = await ledgerOf(c.env, c.get("tenant")).tokenUsage(startOfDay(first), last);
    if (format === "json") return c.json({ currency: c.env.CURRENCY, rows }, 200);
    c.header("content-type", "text/csv; charset=utf-8");
    return c.body(csvOf(rows, c.env.CURRENCY), 200);
  });

  app.openapi(postReport, async (c) => {
    const secret = c.env.SERVING_SECRET;
    if (secret === undefined) throw new ProblemError("Not found", "No model is served.", { status: 404 });
    const body = await c.req.text();
    const signed = {
      timestamp: c.req.header(USAGE_HEADERS.timestamp),
      signature: c.req.header(USAGE_HEADERS.signature),
    };
    await verifyUsage(body, signed, secret, Math.floor(Date.now() / 1000));
    const title = "The report is not valid";
    const { records } = validate(usageReportSchema, parseJson(body, "body", title), "body", title);
    const untaken = await settleAll(c.env, records);
    return untaken.length > 0 ? c.json({ untaken } satisfies Untaken, 503) : c.body(null, 204);
  });
}

/** Settles what can be settled: a tenant whose ledger fails keeps nobody else's usage waiting. @returns the requests of those that fail */
async function settleAll(env: Env, records: readonly UsageRecord[]): Promise<string[]> {
  const byTenant = Map.groupBy(
    records.filter(({ tenant }) => ID_PATTERN.test(tenant)),
    ({ tenant }) => tenant,
  );
  const settled = [...byTenant].map(async ([tenant, own]) => {
    try {
      await ledgerOf(env, tenant).settleTokens(own.map(settlementOf));
      return [];
    } catch (error) {
      logEvent("usage not settled", { tenant, records: own.length, error: String(error) });
      return own.map(({ request }) => request);
    }
  });
  return (await Promise.all(settled)).flat();
}

function settlementOf({ request, promptTokens, completionTokens }: UsageRecord) {
  return { request, used: { prompt: promptTokens, completion: completionTokens } };
}

/** RFC 4180; no field has a character that needs quotes. */
function csvOf(rows: readonly UsageRow[], currency: string): string {
  const lines = rows.map(
    ({ day, model, requests, promptTokens, completionTokens, micros }) =>
      `${day},${model},${requests},${promptTokens},${completionTokens},${(micros / 1e6).toFixed(6)}`,
  );
  return ["day,model,requests,prompt_tokens,completion_tokens,".concat(currency.toLowerCase()), ...lines, ""].join(
    "\r\n",
  );
}

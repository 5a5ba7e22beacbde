import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { bucket } from "../../shared/protocol/bucket.ts";
import { RELEASE } from "../../shared/protocol/version.ts";
import type { Env } from "../env.ts";
import type { App } from "../http/app-env.ts";
import { providerOnly, registerOf } from "../http/auth.ts";
import { SCHEMA_VERSION } from "../ledger/migrations.ts";
import { elapsed, isRecent } from "../ledger/times.ts";
import { exposition } from "../metrics/exposition.ts";
import { flushMetrics } from "../metrics/flush.ts";
import { findJob } from "../transfers/batch.ts";
import { json, problems, secured } from "./route.ts";

/** Whoever asks more often gets the last answer: nobody can make a Worker ask Batch all day. */
const FRESH_MS = 5000;
/** A part that takes longer is as good as out of reach. */
const ANSWER_MS = 4000;

const partSchema = z.object({
  ok: z.boolean(),
  ageSeconds: z
    .number()
    .nullable()
    .describe("Since this instance of the Worker last reached it; null if it never did."),
});
const healthSchema = z.object({ ok: z.boolean(), ledger: partSchema, bucket: partSchema, batch: partSchema }).meta({
  id: "Health",
  examples: [
    {
      ok: false,
      ledger: { ok: true, ageSeconds: 0 },
      bucket: { ok: true, ageSeconds: 0 },
      batch: { ok: false, ageSeconds: 95.2 },
    },
  ],
});
type Part = "ledger" | "bucket" | "batch";

const versionSchema = z
  .object({ softpost: z.string(), ledger: z.int().describe("Version of the ledgers' schema.") })
  .meta({ id: "Version", examples: [{ softpost: RELEASE, ledger: SCHEMA_VERSION }] });

const getHealth = createRoute({
  operationId: "getHealth",
  tags: ["Operation"],
  method: "get",
  path: "/healthz",
  summary: "Whether ledger, bucket and Batch can be reached; for load balancers and probes",
  responses: {
    200: json(healthSchema, "All can be reached."),
    503: { ...json(healthSchema, "One can't."), headers: { "Retry-After": { schema: { type: "integer" } } } },
    ...problems,
  },
});

const getVersion = createRoute({
  operationId: "getVersion",
  tags: ["Operation"],
  method: "get",
  path: "/version",
  summary: "Which release this is",
  responses: { 200: json(versionSchema, "The versions."), ...problems },
});

const getMetrics = createRoute({
  operationId: "getMetrics",
  tags: ["Operation"],
  method: "get",
  path: "/metrics",
  summary: "Figures for Prometheus, with the admin secret; infra/grafana has a dashboard",
  security: secured,
  middleware: [providerOnly],
  responses: {
    200: { description: "Prometheus' text format.", content: { "text/plain": { schema: z.string() } } },
    ...problems,
  },
});

const reached: Partial<Record<Part, number>> = {};
let last: { at: number; answer: Promise<Record<Part, boolean>> } | undefined;

export function addHealthRoutes(app: App): void {
  app.openapi(getHealth, async (c) => {
    if (!last || !isRecent(last.at, FRESH_MS, Date.now())) last = { at: Date.now(), answer: check(c.env) };
    const found = await last.answer;
    const now = Date.now();
    const part = (name: Part) => {
      const at = reached[name];
      return { ok: found[name], ageSeconds: at === undefined ? null : elapsed(at, now) / 1000 };
    };
    const parts = { ledger: part("ledger"), bucket: part("bucket"), batch: part("batch") };
    if (Object.values(found).every(Boolean)) return c.json({ ok: true, ...parts }, 200);
    c.header("retry-after", "5");
    return c.json({ ok: false, ...parts }, 503);
  });

  app.openapi(getVersion, (c) => c.json({ softpost: RELEASE, ledger: SCHEMA_VERSION }, 200));

  app.openapi(getMetrics, async (c) => {
    const register = registerOf(c.env);
    await flushMetrics(register, true);
    return c.text(exposition(await register.snapshot(), Date.now()), 200, {
      "content-type": "text/plain; version=0.0.4",
    });
  });
}

async function check(env: Env): Promise<Record<Part, boolean>> {
  const asks: Record<Part, () => Promise<unknown>> = {
    ledger: () => registerOf(env).isSeeded(),
    bucket: () => env.PROMPTS.head(bucket.catalogue),
    batch: () => findJob(env, "health"),
  };
  const answers = Object.entries(asks).map(async ([name, ask]) => {
    const late = new Promise<never>((_, reject) => setTimeout(() => reject(new Error("late")), ANSWER_MS));
    const ok = await Promise.race([ask(), late]).then(
      () => true,
      () => false,
    );
    if (ok) reached[name as Part] = Date.now();
    return [name, ok] as const;
  });
  return Object.fromEntries(await Promise.all(answers)) as Record<Part, boolean>;
}

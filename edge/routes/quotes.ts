import { createRoute } from "@hono/zod-openapi";
import { MAX_MANIFEST_BYTES } from "../../shared/protocol/manifest.ts";
import { quoteRequestSchema, quoteSchema } from "../../shared/protocol/quote.ts";
import { checkFit } from "../../shared/submission/validate.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith, tooMany } from "../http/auth.ts";
import { limitBody, MAX_OPTIONS_BYTES } from "../http/upload.ts";
import { readCatalogue } from "../storage/catalogue.ts";
import { priceOf } from "../transfers/price.ts";
import { json, problems, secured } from "./route.ts";

const CANCELLATION =
  "A cancelled transfer costs the device seconds that were computed until then, at most what was reserved; one that has not begun costs nothing, and so does one that fails.";

const postQuote = createRoute({
  operationId: "quoteTransfer",
  tags: ["Transfers"],
  method: "post",
  path: "/v1/quotes",
  summary: "What a transfer would cost, and whether the budgets allow it; nothing is reserved",
  description: "Only the manifest is sent, so that a refusal costs no privacy.",
  security: secured,
  middleware: [tenantWith("read"), limitBody(MAX_MANIFEST_BYTES + MAX_OPTIONS_BYTES)],
  request: { body: { required: true, content: { "application/json": { schema: quoteRequestSchema } } } },
  responses: { 200: json(quoteSchema, "The quote."), ...problems },
});

export function addQuoteRoutes(app: App): void {
  app.openapi(postQuote, async (c) => {
    const { manifest, options } = c.req.valid("json");
    const fit = checkFit(manifest, options, await readCatalogue(c.env.PROMPTS));
    const { rate, estimate, range, precision, weights, ask, model } = await priceOf(c.env, {
      manifest,
      options,
      ...fit,
    });
    const ledger = ledgerOf(c.env, c.get("tenant"));
    const answered = await ledger.quote(ask, options.dataset, manifest.prompt.digest, manifest.privacy);
    if (answered.kind === "limited") throw tooMany(c, answered.standing);
    const reserve = { deviceSeconds: ask.deviceSeconds, micros: ask.micros };
    const cancellation = CANCELLATION;
    return c.json({ rate, estimate, range, precision, weights, reserve, cancellation, model, ...answered.quote }, 200);
  });
}

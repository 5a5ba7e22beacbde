import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { transferSchema } from "../../shared/protocol/transfer.ts";
import type { App } from "../http/app-env.ts";
import { ledgerOf, tenantWith } from "../http/auth.ts";
import { isFinal } from "../ledger/decide.ts";
import { requestCancel } from "../transfers/dispatch.ts";
import { remove } from "../transfers/remove.ts";
import { json, problems, secured } from "./route.ts";
import { found, idSchema } from "./transfer.ts";

const shared = { tags: ["Transfers"], security: secured, middleware: [tenantWith("submit")] };
const request = { params: z.object({ id: idSchema }) };

const cancelTransfer = createRoute({
  operationId: "cancelTransfer",
  ...shared,
  method: "post",
  path: "/v1/transfers/{id}/cancel",
  summary: "Cancel; what was computed is charged, the rest refunded, and the prompt stays released",
  description: "A transfer whose result is there already stays done, and is paid for.",
  request,
  responses: { 202: json(transferSchema, "It is cancelled, or will be."), ...problems },
});

const deleteTransfer = createRoute({
  operationId: "deleteTransfer",
  ...shared,
  method: "delete",
  path: "/v1/transfers/{id}",
  summary: "Delete the prompt and all files; one that isn't finished is cancelled first",
  description:
    "At once, and for good. The entries of the ledger stay: what it cost, and that the prompt was released, which counts against its data set's privacy. Its name and metadata go too.",
  request,
  responses: {
    200: json(transferSchema, "They are deleted; `deleted` says when."),
    202: json(transferSchema, "It is being cancelled; its files go as soon as it has ended."),
    ...problems,
  },
});

export function addRemovalRoutes(app: App): void {
  app.openapi(cancelTransfer, async (c) => {
    const { id } = c.req.valid("param");
    const tenant = c.get("tenant");
    found(await ledgerOf(c.env, tenant).get(id));
    return c.json(await requestCancel(c.env, tenant, id), 202);
  });

  app.openapi(deleteTransfer, async (c) => {
    const { id } = c.req.valid("param");
    const tenant = c.get("tenant");
    found(await ledgerOf(c.env, tenant).get(id));
    const removed = found(await remove(c.env, tenant, id, c.get("key")));
    return isFinal(removed.state) ? c.json(removed, 200) : c.json(removed, 202);
  });
}

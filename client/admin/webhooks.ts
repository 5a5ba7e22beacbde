import type { Command } from "commander";
import { z } from "zod";
import {
  type DeliveryRecord,
  deliverySchema,
  madeWebhookSchema,
  webhookSchema,
} from "../../shared/protocol/webhook.ts";
import { sending } from "../api/transport.ts";
import type { Io } from "../output.ts";
import { type AdminOptions, adminApi, withAdmin } from "./connection.ts";
import { tenantPath } from "./find-tenant.ts";

const listSchema = z.object({ webhooks: z.array(webhookSchema) });
const deliveriesSchema = z.object({ deliveries: z.array(deliverySchema) });

/** `softpost admin webhooks`. */
export function registerWebhooks(admin: Command, io: Io): void {
  const webhooks = admin
    .command("webhooks")
    .description("where a tenant is told of transfers that end and budgets that are reached");
  const command = (name: string, description: string) =>
    withAdmin(webhooks.command(name)).description(description).argument("<tenant>", "id or name");
  const open = async (tenant: string, options: AdminOptions) => {
    const api = await adminApi(options, io);
    return { api, path: `${await tenantPath(api, tenant)}/webhooks` };
  };
  command("list", "a tenant's webhooks").action(async (tenant: string, options: AdminOptions) => {
    const { api, path } = await open(tenant, options);
    const answer = await api.json(path, listSchema);
    const lines = answer.webhooks.map(({ id, url, events }) => `${id}: ${url} (${events.join(", ")})`);
    io.result(answer, lines.join("\n") || "No webhooks yet.");
  });
  command("create", "make one; its secret is shown this once")
    .argument("<url>", "https address of the receiver")
    .option("--event <event...>", "what it is told (default: everything)")
    .action(async (tenant: string, url: string, { event, ...options }: AdminOptions & { event?: string[] }) => {
      const { api, path } = await open(tenant, options);
      const made = await api.json(path, madeWebhookSchema, sending("POST", { url, ...(event && { events: event }) }));
      io.result(made, `${made.id}: ${made.url}, signed with ${made.secret}`);
    });
  command("delete", "tell it no more")
    .argument("<webhook>", "its id")
    .action(async (tenant: string, webhook: string, options: AdminOptions) => {
      const { api, path } = await open(tenant, options);
      await (await api.request(`${path}/${encodeURIComponent(webhook)}`, { method: "DELETE" })).body?.cancel();
      io.result({ id: webhook, deleted: true }, `${webhook} is deleted.`);
    });
  command("deliveries", "what was delivered and what is to be, with the last answers")
    .argument("<webhook>", "its id")
    .action(async (tenant: string, webhook: string, options: AdminOptions) => {
      const { api, path } = await open(tenant, options);
      const answer = await api.json(`${path}/${encodeURIComponent(webhook)}/deliveries`, deliveriesSchema);
      io.result(answer, answer.deliveries.map(describe).join("\n") || "Nothing was to be delivered yet.");
    });
  command("redeliver", "send a delivery once more")
    .argument("<webhook>", "its id")
    .argument("<delivery>", "the delivery's id")
    .action(async (tenant: string, webhook: string, delivery: string, options: AdminOptions) => {
      const { api, path } = await open(tenant, options);
      const target = `${path}/${encodeURIComponent(webhook)}/deliveries/${encodeURIComponent(delivery)}/redeliver`;
      await (await api.request(target, { method: "POST" })).body?.cancel();
      io.result({ id: delivery, redelivered: true }, `${delivery} is sent once more.`);
    });
}

function describe({ id, type, state, tries, lastTry, lastError, nextTry }: DeliveryRecord): string {
  const last = lastTry === null ? "" : `, last ${lastTry}`;
  const next = nextTry === null ? "" : `, next ${nextTry}`;
  return `${id}: ${type}, ${state} after ${tries} tries${last}${lastError === null ? "" : ` (${lastError})`}${next}`;
}

import { z } from "zod";

const WEBHOOK_EVENTS = ["transfer.succeeded", "transfer.failed", "transfer.cancelled", "budget.reached"] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** Where a notification is to come from: an account has few. */
export const MAX_WEBHOOKS = 5;

export const newWebhookSchema = z
  .strictObject({
    url: z.url({ protocol: /^https?$/ }).max(500),
    events: z
      .array(z.enum(WEBHOOK_EVENTS))
      .min(1)
      .default([...WEBHOOK_EVENTS])
      .describe("What it is told; all where none are named."),
  })
  .meta({
    id: "WebhookRequest",
    examples: [{ url: "https://hooks.example.com/softpost", events: ["transfer.failed"] }],
  });

export const webhookSchema = z
  .object({ id: z.string(), url: z.string(), events: z.array(z.string()), created: z.iso.datetime() })
  .meta({ id: "Webhook" });

export type WebhookRecord = z.output<typeof webhookSchema>;

export const madeWebhookSchema = webhookSchema
  .extend({ secret: z.string().describe("With it deliveries are signed. It is shown nowhere else, and never again.") })
  .meta({ id: "NewWebhook" });

/** What is sent: ids, states and numbers, never a text. */
export const notificationSchema = z
  .object({
    type: z.enum(WEBHOOK_EVENTS),
    timestamp: z.iso.datetime(),
    data: z.union([
      z.object({ transfer: z.string(), state: z.string() }),
      z.object({ budget: z.string(), percent: z.int().describe("80 or 100, of what is spent and reserved.") }),
    ]),
  })
  .meta({
    id: "Notification",
    examples: [
      {
        type: "transfer.succeeded",
        timestamp: "2026-11-30T11:42:07.120Z",
        data: { transfer: "k3v7q2m5x4a6b7c2", state: "succeeded" },
      },
      { type: "budget.reached", timestamp: "2026-11-30T11:42:07.120Z", data: { budget: "money", percent: 80 } },
    ],
  });

export type Notification = z.output<typeof notificationSchema>;

export const deliverySchema = z
  .object({
    id: z.string().describe("As the header webhook-id has it, at every try."),
    type: z.string(),
    created: z.iso.datetime(),
    state: z.enum(["pending", "delivered", "failed"]).describe("Failed: it was tried for a day."),
    tries: z.int(),
    nextTry: z.iso.datetime().nullable(),
    lastTry: z.iso.datetime().nullable(),
    lastStatus: z.int().nullable().describe("The receiver's answer; null where there was none."),
    lastError: z.string().nullable(),
  })
  .meta({ id: "Delivery" });

export type DeliveryRecord = z.output<typeof deliverySchema>;

import { z } from "zod";

export const costSchema = z
  .object({
    deviceSeconds: z.int().nonnegative(),
    micros: z.int().nonnegative().describe("Millionths of the currency."),
  })
  .meta({ id: "Cost" });

export type Cost = z.output<typeof costSchema>;

export const rateSchema = z
  .object({
    device: z.string().describe("What transfers are computed on."),
    currency: z.string(),
    microsPerHour: z.int().nonnegative().describe("Price of an hour of the device, in millionths of the currency."),
  })
  .meta({ id: "Rate" });

export type Rate = z.output<typeof rateSchema>;

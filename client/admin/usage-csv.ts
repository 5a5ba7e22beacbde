import type { z } from "zod";
import { MICROS, type UsageRow, type usageSchema } from "../../shared/protocol/administration.ts";

const COLUMNS =
  "month,tenant,tenant_name,key,key_name,kind,model,count,refunded,amount,currency,device_seconds,virtual_tokens";

/** What was used in a month as the lines of a table, names first. */
export function usageCsv({ currency, usage }: z.output<typeof usageSchema>): string[] {
  const line = (row: UsageRow) => {
    const who = [row.month, row.tenant, row.tenantName, row.key, row.keyName, row.kind, row.model].map(csvText);
    const amount = (row.micros / MICROS).toFixed(6);
    return [...who, row.count, row.refunded, amount, currency, row.deviceSeconds, row.virtualTokens].join(",");
  };
  return [COLUMNS, ...usage.map(line)];
}

/** RFC 4180. A spreadsheet would compute a name that begins like a formula, so that is written as a text. */
export function csvText(value: string | null): string {
  const text = value ?? "";
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

import type { DailyUsageRow, UsageRow } from "../../shared/protocol/administration.ts";
import type { UsageRow as TokenRow } from "../../shared/protocol/metering.ts";

type Row = Omit<UsageRow, "tenant" | "tenantName" | "kind">;

/**
 * What a ledger's transfers cost in a month (UTC), by key and student. A transfer belongs to the month in which it ended: what is set aside at
 * the end of a month is no bill yet.
 *
 * @param month such as 2026-11
 */
export function usageOf(sql: SqlStorage, month: string): Row[] {
  const { from, to } = spanOf(month);
  return sql
    .exec<Row>(
      `SELECT ? AS month, transfers.api_key AS key, keys.name AS keyName, transfers.student AS model,
              SUM(entries.kind = 'settle') AS count, SUM(entries.kind = 'refund') AS refunded,
              SUM(transfers.cost_micros) AS micros, SUM(transfers.cost_seconds) AS deviceSeconds,
              SUM(CASE WHEN transfers.state = 'succeeded' THEN transfers.virtual_tokens ELSE 0 END) AS virtualTokens
       FROM entries JOIN transfers ON transfers.id = entries.transfer LEFT JOIN keys ON keys.id = transfers.api_key
       WHERE entries.kind IN ('settle', 'refund') AND entries.at >= ? AND entries.at < ?
       GROUP BY transfers.api_key, transfers.student ORDER BY transfers.api_key, transfers.student`,
      ...[month, from, to],
    )
    .toArray();
}

/** The same by day, with the requests to models. */
export function dailyUsageOf(sql: SqlStorage, tokens: readonly TokenRow[], month: string): DailyUsageRow[] {
  const { from, to } = spanOf(month);
  const transfers = sql
    .exec<Pick<DailyUsageRow, "day" | "transfers" | "deviceSeconds" | "micros">>(
      `SELECT date(entries.at / 1000, 'unixepoch') AS day, SUM(entries.kind = 'settle') AS transfers,
              SUM(transfers.cost_seconds) AS deviceSeconds, SUM(transfers.cost_micros) AS micros
       FROM entries JOIN transfers ON transfers.id = entries.transfer
       WHERE entries.kind IN ('settle', 'refund') AND entries.at >= ? AND entries.at < ? GROUP BY day`,
      from,
      to,
    )
    .toArray();
  const rows = [
    ...transfers.map((row) => ({ ...row, requests: 0, tokens: 0 })),
    ...tokens.map(({ day, requests, promptTokens, completionTokens, micros }) => {
      return { day, transfers: 0, deviceSeconds: 0, requests, tokens: promptTokens + completionTokens, micros };
    }),
  ];
  const days = [...Map.groupBy(rows, ({ day }) => day)].sort(([a], [b]) => (a < b ? -1 : 1));
  return days.map(([day, own]) => {
    const sum = (field: Exclude<keyof DailyUsageRow, "day">) => own.reduce((total, row) => total + row[field], 0);
    return {
      day,
      transfers: sum("transfers"),
      deviceSeconds: sum("deviceSeconds"),
      requests: sum("requests"),
      tokens: sum("tokens"),
      micros: sum("micros"),
    };
  });
}

/** A month's beginning and end. @param month such as 2026-11 */
export function spanOf(month: string): { readonly from: number; readonly to: number } {
  const [year, number] = month.split("-").map(Number) as [number, number];
  return { from: Date.UTC(year, number - 1), to: Date.UTC(year, number) };
}

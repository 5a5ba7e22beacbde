import type { UsageRow } from "../../shared/protocol/administration.ts";

type Row = Omit<UsageRow, "tenant" | "tenantName" | "kind">;

/**
 * What a ledger's transfers cost in a month (UTC), by key and student. A transfer belongs to the month in which it ended: what is set aside at
 * the end of a month is no bill yet.
 *
 * @param month such as 2026-11
 */
export function usageOf(sql: SqlStorage, month: string): Row[] {
  const [year, number] = month.split("-").map(Number) as [number, number];
  const [from, to] = [Date.UTC(year, number - 1), Date.UTC(year, number)];
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

import type { TokenPrices, Tokens, UsageRow } from "../../shared/protocol/metering.ts";
import { tokenMicros } from "../../shared/protocol/metering.ts";
import { settledTokens } from "./metering.ts";
import { startOfDay } from "./times.ts";

/** A request to a model that wants to be reserved. */
export interface TokenRequest {
  readonly id: string;
  /** Its own name, not an alias. */
  readonly model: string;
  /** The most that it can use. */
  readonly most: Tokens;
  /** When, in milliseconds since 1970, it is given back unless its use was reported. */
  readonly expires: number;
}

/** Tokens and what they cost, of all time and of a day. */
export interface TokenSums {
  readonly tokens: number;
  readonly dailyTokens: number;
  readonly micros: number;
}

type OpenRow = {
  model: string;
  day: number;
  prompt_tokens: number;
  completion_tokens: number;
  prompt_price: number;
  completion_price: number;
};

/**
 * A tenant's requests to models. One that is under way has a row with what is set aside for it; when it ends, the row goes, and what it
 * used is added to its day's and model's. So a second report of it finds nothing, and counts for nothing. What has expired is given back
 * before anything is summed up.
 */
export class TokenStore {
  private readonly sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  /** What was used. */
  used(now: number): TokenSums {
    return this.sums("token_usage", now);
  }

  /** What requests that are under way may still use. */
  reserved(now: number): TokenSums {
    this.sql.exec("DELETE FROM requests WHERE expires <= ?", now);
    return this.sums("requests", now);
  }

  reserve({ id, model, most, expires }: TokenRequest, prices: TokenPrices, now: number): void {
    this.sql.exec(
      "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      ...[id, model, startOfDay(now), expires, most.prompt, most.completion],
      ...[prices.promptMicros, prices.completionMicros, tokenMicros(most, prices)],
    );
  }

  /** Ends a request that is under way. @returns whether it was */
  settle(id: string, used: Tokens, now: number): boolean {
    const row = this.sql.exec<OpenRow>("SELECT * FROM requests WHERE id = ? AND expires > ?", id, now).toArray()[0];
    if (!row) return false;
    const reserved = { prompt: row.prompt_tokens, completion: row.completion_tokens };
    const prices = { promptMicros: row.prompt_price, completionMicros: row.completion_price };
    const { prompt, completion, micros } = settledTokens(reserved, used, prices);
    this.release(id);
    this.sql.exec(
      `INSERT INTO token_usage VALUES (?, ?, 1, ?, ?, ?) ON CONFLICT (day, model) DO UPDATE SET requests = requests + 1,
         prompt_tokens = prompt_tokens + excluded.prompt_tokens, completion_tokens = completion_tokens + excluded.completion_tokens,
         micros = micros + excluded.micros`,
      ...[row.day, row.model, prompt, completion, micros],
    );
    return true;
  }

  /** Gives back what is set aside for a request that was never begun. */
  release(id: string): void {
    this.sql.exec("DELETE FROM requests WHERE id = ?", id);
  }

  /** Lets a reservation expire earlier. */
  hasten(id: string, expires: number): void {
    this.sql.exec("UPDATE requests SET expires = ? WHERE id = ? AND expires > ?", expires, id, expires);
  }

  /** Of the days from `first` to `last`, both in milliseconds since 1970. */
  rows(first: number, last: number): UsageRow[] {
    const query = `SELECT day, model, requests, prompt_tokens AS promptTokens, completion_tokens AS completionTokens, micros
      FROM token_usage WHERE day BETWEEN ? AND ? ORDER BY day, model`;
    return this.sql
      .exec<Omit<UsageRow, "day"> & { day: number }>(query, first, last)
      .toArray()
      .map((row) => ({ ...row, day: new Date(row.day).toISOString().slice(0, 10) }));
  }

  private sums(table: "requests" | "token_usage", now: number): TokenSums {
    return this.sql
      .exec<TokenSums & Record<string, number>>(
        `SELECT COALESCE(SUM(prompt_tokens + completion_tokens), 0) AS tokens, COALESCE(SUM(micros), 0) AS micros,
           COALESCE(SUM(CASE WHEN day = ? THEN prompt_tokens + completion_tokens ELSE 0 END), 0) AS dailyTokens FROM ${table}`,
        startOfDay(now),
      )
      .one();
  }
}

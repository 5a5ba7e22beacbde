/** Times are milliseconds since 1970. */
const DAY_MS = 86_400_000;

/** Midnight (UTC) before a time. */
export function startOfDay(now: number): number {
  return now - (now % DAY_MS);
}

/** The next midnight (UTC). */
export function nextDay(now: number): number {
  return startOfDay(now) + DAY_MS;
}

/** A time as the API writes it (RFC 3339); null where there is none. */
export function isoTime(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

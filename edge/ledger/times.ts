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

/** Milliseconds from one time to another, and none where the clock was set back between. */
export function elapsed(since: number, now: number): number {
  return Math.max(0, now - since);
}

/** Whether a time is at most so many milliseconds ago. One that is still to come is of a clock that was set back, and isn't. */
export function isRecent(at: number, milliseconds: number, now: number): boolean {
  return at <= now && now - at <= milliseconds;
}

/** A time as the API writes it (RFC 3339); null where there is none. */
export function isoTime(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

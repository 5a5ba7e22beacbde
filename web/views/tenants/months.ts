/** Months that can be chosen: this one and a year back. */
const MONTHS = 13;

/** This month (UTC) and those before, as 2026-11. */
export function lastMonths(): string[] {
  const now = new Date();
  return Array.from({ length: MONTHS }, (_, back) =>
    new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back)).toISOString().slice(0, 7),
  );
}

import { elapsed } from "./times.ts";

/** A burst may be this many seconds' worth of requests. */
const BURST_SECONDS = 10;

/** Where a caller stands: requests that may be sent at once, and seconds until that is `limit` again. */
export interface RateStanding {
  readonly limit: number;
  readonly window: number;
  readonly remaining: number;
  readonly reset: number;
  /** Seconds until the same may be asked again. */
  readonly retryAfter: number;
}

/** A tenant's requests, as a token bucket. It lives in memory: when its ledger is evicted the tenant was idle, and it is full again. */
export class RateLimit {
  private readonly perSecond: number;
  private tokens = Number.POSITIVE_INFINITY;
  private filled = 0;

  constructor(perSecond: number) {
    this.perSecond = perSecond;
  }

  /** @param seconds of what the limit lets through that it takes; one request without it */
  take(now: number, seconds?: number): { taken: boolean; standing: RateStanding } {
    const most = BURST_SECONDS * this.perSecond;
    this.tokens = Math.min(most, this.tokens + (elapsed(this.filled, now) / 1000) * this.perSecond);
    this.filled = now;
    const requests = seconds === undefined ? 1 : seconds * this.perSecond;
    const taken = this.tokens >= requests;
    if (taken) this.tokens -= requests;
    const standing = {
      limit: Math.floor(most),
      window: BURST_SECONDS,
      remaining: Math.floor(this.tokens),
      reset: Math.ceil((most - this.tokens) / this.perSecond),
      retryAfter: Math.max(1, Math.ceil((requests - this.tokens) / this.perSecond)),
    };
    return { taken, standing };
  }
}

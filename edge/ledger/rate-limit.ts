import { elapsed } from "./times.ts";

/** A burst may be this many seconds' worth of requests. */
const BURST_SECONDS = 10;

/** Where a caller stands: requests that may be sent at once, and seconds until that is `limit` again. */
export interface RateStanding {
  readonly limit: number;
  readonly window: number;
  readonly remaining: number;
  readonly reset: number;
  /** Seconds until one more request may be sent. */
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

  take(now: number): { taken: boolean; standing: RateStanding } {
    const most = BURST_SECONDS * this.perSecond;
    this.tokens = Math.min(most, this.tokens + (elapsed(this.filled, now) / 1000) * this.perSecond);
    this.filled = now;
    const taken = this.tokens >= 1;
    if (taken) this.tokens -= 1;
    const standing = {
      limit: Math.floor(most),
      window: BURST_SECONDS,
      remaining: Math.floor(this.tokens),
      reset: Math.ceil((most - this.tokens) / this.perSecond),
      retryAfter: Math.max(1, Math.ceil((1 - this.tokens) / this.perSecond)),
    };
    return { taken, standing };
  }
}

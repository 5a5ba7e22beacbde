import { setTimeout as sleep } from "node:timers/promises";

/** Tries that bring nothing, one after the other, before a download is given up. */
const FRUITLESS_TRIES = 5;
const FIRST_PAUSE_MS = 500;
/** A server that says when to come back is believed as long as the waiting in a row doesn't pass this. */
const LONGEST_WAIT_MS = 5 * 60_000;
/** A server that says "at once" is not asked more often than this. */
const SHORTEST_WAIT_MS = 200;

/** Whether a status says that the same request may succeed later. */
export function isPassing(status: number): boolean {
  return [408, 425, 429, 500, 502, 503, 504].includes(status);
}

/** Milliseconds after which a server wants to be asked again (RFC 9110, section 10.2.3), if it says so. */
export function retryAfter(response: Response): number | undefined {
  const text = response.headers.get("retry-after");
  if (text === null) return undefined;
  const milliseconds = /^\d+$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now();
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}

/** How long something that fails is tried again: with pauses that double, a few times; longer where the server says when. */
export class Patience {
  private readonly signal: AbortSignal | undefined;
  private fruitless = 0;
  private waited = 0;

  constructor(signal?: AbortSignal) {
    this.signal = signal;
  }

  /** To be told of a try that brought something. */
  renew(): void {
    this.fruitless = 0;
    this.waited = 0;
  }

  /**
   * Waits after a try that brought nothing.
   *
   * @param asked milliseconds that the server asks to wait
   * @returns false if it has been tried enough
   */
  async wait(asked: number | undefined): Promise<boolean> {
    if (asked === undefined && ++this.fruitless === FRUITLESS_TRIES) return false;
    const pause = asked === undefined ? FIRST_PAUSE_MS * 2 ** (this.fruitless - 1) : Math.max(asked, SHORTEST_WAIT_MS);
    this.waited += pause;
    if (this.waited > LONGEST_WAIT_MS) return false;
    await sleep(pause, undefined, this.signal && { signal: this.signal });
    return true;
  }
}

import { ProblemError } from "../shared/protocol/errors.ts";

/** Bounds what is in this process at one time, running or waiting: what is more is told at once to come again. */
export class Admission {
  readonly #most: number;
  #taken = 0;
  #requests = 0;
  #isOpen = true;
  #onEmpty: (() => void) | undefined;

  /** @param most rows of all requests together */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether requests are taken. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get requests(): number {
    return this.#requests;
  }

  /**
   * Takes in a request.
   * @returns says that it has ended
   * @throws ProblemError 503 if it doesn't fit, or nothing is taken any more
   */
  enter(rows: number): () => void {
    if (!this.#isOpen) throw busy("This server is being stopped; try again.");
    // Alone it may be as large as it likes: its own bounds hold.
    if (this.#requests > 0 && this.#taken + rows > this.#most) throw busy("Too many requests are waiting; try again.");
    this.#taken += rows;
    this.#requests += 1;
    return () => {
      this.#taken -= rows;
      this.#requests -= 1;
      if (this.#requests === 0) this.#onEmpty?.();
    };
  }

  /** Takes nothing more; resolves when all that was taken has ended. */
  async close(): Promise<void> {
    this.#isOpen = false;
    if (this.#requests === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }
}

function busy(detail: string): ProblemError {
  return new ProblemError("The server is busy", detail, { status: 503 });
}

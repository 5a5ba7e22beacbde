/** What is to happen, earliest first; of one moment, in the order of being entered. A binary heap. */
export class Agenda {
  private readonly heap: { readonly at: number; readonly order: number; readonly run: () => void }[] = [];
  private entered = 0;
  /** Seconds since the beginning. */
  now = 0;

  /** Enters something for a time that isn't over; never, if it is infinite. */
  enter(at: number, run: () => void): void {
    if (at === Number.POSITIVE_INFINITY) return;
    this.heap.push({ at, order: this.entered++, run });
    let child = this.heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.before(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  /** Lets everything happen until nothing is left or `until` holds. */
  run(until: () => boolean): void {
    while (this.heap.length > 0 && !until()) {
      const { at, run } = this.take();
      this.now = at;
      run();
    }
  }

  private take() {
    const { heap } = this;
    this.swap(0, heap.length - 1);
    const first = heap.pop()!;
    for (let parent = 0; ; ) {
      const [left, right] = [2 * parent + 1, 2 * parent + 2];
      let least = parent;
      if (left < heap.length && this.before(left, least)) least = left;
      if (right < heap.length && this.before(right, least)) least = right;
      if (least === parent) return first;
      this.swap(parent, least);
      parent = least;
    }
  }

  private before(a: number, b: number): boolean {
    const [x, y] = [this.heap[a]!, this.heap[b]!];
    return x.at < y.at || (x.at === y.at && x.order < y.order);
  }

  private swap(a: number, b: number): void {
    [this.heap[a], this.heap[b]] = [this.heap[b]!, this.heap[a]!];
  }
}

import type { FromThread } from "./messages.ts";

/** Tells of every request that the platform records in this thread, from its start on. */
export function tellRequests(thread: string, tell: (message: FromThread) => void): void {
  const observer = new PerformanceObserver((list) => {
    const requests = (list.getEntries() as PerformanceResourceTiming[]).map((entry) => ({
      url: entry.name,
      time: performance.timeOrigin + entry.startTime,
      initiator: entry.initiatorType,
      received: entry.encodedBodySize,
      thread,
    }));
    tell({ kind: "requests", requests });
  });
  observer.observe({ type: "resource", buffered: true });
}

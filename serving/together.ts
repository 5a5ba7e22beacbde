/**
 * Runs the parts of a request. Where one fails, the others are told that nobody waits for them, and waited for: a prompt that they
 * begin with may be dropped as soon as this is over.
 * @param signal the request's own
 * @throws what the first one threw that failed
 */
export async function together<T, R>(
  signal: AbortSignal,
  parts: readonly T[],
  run: (part: T, signal: AbortSignal, index: number) => Promise<R>,
): Promise<R[]> {
  const failing = new AbortController();
  const either = AbortSignal.any([signal, failing.signal]);
  const running = parts.map((part, i) => run(part, either, i));
  try {
    return await Promise.all(running);
  } catch (error) {
    failing.abort();
    await Promise.allSettled(running);
    throw error;
  }
}

/** Runs `action` every so many milliseconds, never twice at once; the function that comes back stops it. */
export function repeat(milliseconds: number, action: () => Promise<void>): () => Promise<void> {
  let stopped = false;
  let wake = () => {};
  const loop = (async () => {
    while (!stopped) {
      // What fails is tried again at the next turn; the Worker's log says what it was.
      await action().catch(() => {});
      if (!stopped) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, milliseconds);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    }
  })();
  return () => {
    stopped = true;
    wake();
    return loop;
  };
}

/** How often a job looks whether its parent lives; on AWS a container's first process has none and never loses it. */
const PARENT_MS = 1000;

/**
 * Aborts at SIGTERM, which Batch sends before it takes a machine away, and when the process that started the job is gone: a daemon
 * that was killed must not leave jobs behind that nobody knows of.
 */
export function stopSignal(): AbortSignal {
  const abort = new AbortController();
  const parent = process.ppid;
  const stop = () => abort.abort();
  process.once("SIGTERM", stop);
  setInterval(() => process.ppid !== parent && stop(), PARENT_MS).unref();
  return abort.signal;
}

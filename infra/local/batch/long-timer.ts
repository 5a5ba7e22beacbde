/** A timer of Node's that is set to more fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls `act` after any time, unless what it returns is called before. */
export function after(milliseconds: number, act: () => void): () => void {
  const step = Math.min(milliseconds, LONGEST_MS);
  let cancel = () => clearTimeout(timer);
  const timer = setTimeout(() => {
    if (step === milliseconds) act();
    else cancel = after(milliseconds - step, act);
  }, step);
  return () => cancel();
}

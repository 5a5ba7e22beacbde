/** What the browser tells of the machine. */

/** GB that a page is told of at most, and where it isn't told. */
const UNKNOWN_GB = 8;

/** Bytes of memory that a thread of wasm can have: 4 GB, or the machine's. */
export function totalmem(): number {
  const { deviceMemory = UNKNOWN_GB } = navigator as { deviceMemory?: number };
  return Math.min(deviceMemory, 4) * 2 ** 30;
}

export const availableParallelism = () => navigator.hardwareConcurrency;
export const hostname = () => "browser";
export const homedir = () => "/home";

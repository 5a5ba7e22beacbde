/** How the console (web/) is sent, by a provider's Worker and by `softpost ui` alike. */

/** Where it lies, on either. */
export const CONSOLE_PATH = "/console/";

/**
 * Headers of all the console's files. Nothing is loaded from, and nothing can be sent to, any address but the page's own; no script stands in the page
 * itself, and WebAssembly is the one thing that may be compiled. The page shares its process with no other, which lets WebAssembly have threads.
 */
const CONSOLE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "x-content-type-options": "nosniff",
};

/**
 * Scripts of threads that have private rows (web/tune/): such a thread can load scripts of this address, and reach nothing, not even this address.
 */
const PRIVATE_THREADS: ReadonlySet<string> = new Set([
  "tune-worker.js",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.jspi.mjs",
]);
const PRIVATE_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";

/** Headers of one of the console's files. */
export function consoleHeadersOf(name: string): Readonly<Record<string, string>> {
  return PRIVATE_THREADS.has(name)
    ? { ...CONSOLE_HEADERS, "content-security-policy": PRIVATE_POLICY }
    : CONSOLE_HEADERS;
}

/** How long a browser keeps a file: those with their content's hash in their names for good. */
export function consoleCaching(name: string): string {
  return /-[A-Z0-9]{8}\.(js|css)$/.test(name) ? "public, max-age=31536000, immutable" : "no-cache";
}

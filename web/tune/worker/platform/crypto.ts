/** The digests of Node's crypto that tuning takes, by noble's implementations: the platform's own take no stream and are asynchronous. */
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

interface Incremental {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

class Digest {
  readonly #inner: Incremental;

  constructor(inner: Incremental) {
    this.#inner = inner;
  }

  update(data: Uint8Array | string): this {
    this.#inner.update(typeof data === "string" ? new TextEncoder().encode(data) : data);
    return this;
  }

  digest(_: "hex"): string {
    return Array.from(this.#inner.digest(), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

export const createHash = (_: "sha256") => new Digest(sha256.create());
export const createHmac = (_: "sha256", key: Uint8Array) => new Digest(hmac.create(sha256, key));
export const randomUUID = () => crypto.randomUUID();

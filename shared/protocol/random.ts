/** Where random bytes come from. Whatever needs randomness takes one as an argument. */
export interface RandomSource {
  /** Fills `bytes` with uniform random bytes. */
  fill(bytes: Uint8Array<ArrayBuffer>): void;
}

/** `crypto.getRandomValues` refuses more bytes a call (Web Cryptography API, section 10.1.1). */
const CRYPTO_CHUNK = 65_536;

/** The cryptographic generator of the platform: the only source that a private run may use. */
export const cryptoRandom: RandomSource = {
  fill(bytes) {
    for (let at = 0; at < bytes.length; at += CRYPTO_CHUNK) {
      crypto.getRandomValues(bytes.subarray(at, at + CRYPTO_CHUNK));
    }
  },
};

/**
 * A reproducible generator, for tests and for runs that claim no privacy: sfc32 (Chris Doty-Humphrey's PractRand).
 * Different keys give unrelated streams, so a step of a run can have its own: `seededRandom(seed, step)`.
 * @param key any whole numbers; only their low 32 bits count
 */
export function seededRandom(...key: number[]): RandomSource {
  let [a, b, c, counter] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 1];
  const next = () => {
    const value = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + value;
    return value;
  };
  for (const word of key) {
    a ^= word;
    for (let round = 0; round < 15; round++) next();
  }
  return {
    fill(bytes) {
      for (let at = 0; at < bytes.length; at += 4) {
        const word = next();
        for (let i = 0; i < 4 && at + i < bytes.length; i++) bytes[at + i] = word >>> (8 * i);
      }
    },
  };
}

/** Bytes that a {@link Draws} asks for at once: one call to the generator for many small draws. */
const BUFFER_BYTES = 4096;

/**
 * Small draws from a source, buffered. What is left in the buffer is lost with the object, so make one for a bulk
 * of draws; a seeded source then still gives the same numbers to the same sequence of calls.
 */
export class Draws {
  readonly #source: RandomSource;
  readonly #bytes = new Uint8Array(BUFFER_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer);
  /** Bytes and words are taken from the two ends of one buffer: bytes upwards from 0, words downwards from the end. */
  #nextByte = 0;
  #wordsLeft = 0;

  constructor(source: RandomSource) {
    this.#source = source;
  }

  #refill(): void {
    this.#source.fill(this.#bytes);
    this.#nextByte = 0;
    this.#wordsLeft = this.#words.length;
  }

  /** A uniform integer in [0, 2^8). */
  byte(): number {
    if (this.#nextByte >= this.#wordsLeft * 4) this.#refill();
    return this.#bytes[this.#nextByte++]!;
  }

  /** A uniform integer in [0, 2^32). */
  uint32(): number {
    if ((this.#wordsLeft - 1) * 4 < this.#nextByte) this.#refill();
    return this.#words[--this.#wordsLeft]!;
  }

  /** A uniform multiple of 2^-53 in [0, 1). */
  uniform53(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) * 2 ** -53;
  }

  /** A uniform integer in [0, n), without bias (rejection); 1 ≤ n ≤ 2^53. */
  integer(n: number): number {
    const span = n <= 2 ** 32 ? 2 ** 32 : 2 ** 53;
    const end = span - (span % n);
    for (;;) {
      const drawn = span === 2 ** 32 ? this.uint32() : this.uniform53() * 2 ** 53;
      if (drawn < end) return drawn % n;
    }
  }

  /**
   * True with probability exactly numerator / denominator; whole numbers, 0 ≤ numerator ≤ denominator < 2^45.
   * The binary expansion of the fraction is compared with random bits, a byte at a time, until they differ.
   */
  bernoulli(numerator: number, denominator: number): boolean {
    let rest = numerator;
    for (;;) {
      const scaled = rest * 256;
      const digit = Math.floor(scaled / denominator);
      const byte = this.byte();
      if (byte !== digit) return byte < digit;
      rest = scaled - digit * denominator;
    }
  }
}

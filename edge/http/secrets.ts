import { base64url } from "../../shared/protocol/bytes-as-text.ts";
import { hmac } from "../../shared/protocol/hmac.ts";

const encoder = new TextEncoder();

/** HMAC-SHA-256 of `text` in base64url: 43 characters. */
export async function keyedHash(secret: string, text: string): Promise<string> {
  return base64url(await hmac(secret, text));
}

/** 256 random bits in base64url. */
export function randomSecret(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** Whether two texts are the same, in a time that depends on their length only. */
export function equalBytes(a: string, b: string): boolean {
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  return left.length === right.length && crypto.subtle.timingSafeEqual(left, right);
}

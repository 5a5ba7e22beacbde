import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { plainText } from "../../../shared/data/same-text.ts";

/**
 * Which rows are kept back to measure on. What a row is of and a key decide: its own text, or, if it is one of several of a unit of privacy, the unit's
 * value. So a record that comes or goes moves no other one (what the guarantee compares are data sets that differ in one record), and the same text (in whatever
 * form of white space and accents), or the same person, is never on both sides.
 *
 * @param share of the rows, 0 to 1
 */
export function isHeldOut(text: string, { share, key }: { readonly share: number; readonly key: string }): boolean {
  if (share === 0) return false;
  const encoder = new TextEncoder();
  const digest = hmac(sha256, encoder.encode(key), encoder.encode(plainText(text)));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0) / 2 ** 32 < share;
}

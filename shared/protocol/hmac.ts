const encoder = new TextEncoder();

/** HMAC-SHA-256 (RFC 2104) of a text: 32 bytes. */
export async function hmac(secret: string, text: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", await key(secret), encoder.encode(text)));
}

/** Whether a signature is a text's, in a time that doesn't depend on where they differ. */
export async function verifyHmac(secret: string, text: string, signature: Uint8Array<ArrayBuffer>): Promise<boolean> {
  return crypto.subtle.verify("HMAC", await key(secret), signature, encoder.encode(text));
}

function key(secret: string) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign", "verify"]);
}

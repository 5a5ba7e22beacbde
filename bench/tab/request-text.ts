/** An engine's requests as text, so that they reach a page. */

const ARRAYS = { Uint8Array, Float32Array, Int32Array };

/** JSON, with typed arrays in base64. */
export function asText(request: unknown): string {
  return JSON.stringify(request, function (this: Record<string, unknown>, key: string, value: unknown) {
    // A Buffer has made itself numbers here, and is still whole there.
    const given = this[key];
    if (!ArrayBuffer.isView(given)) return value;
    const { buffer, byteOffset, byteLength } = given;
    const array = given instanceof Uint8Array ? "Uint8Array" : given.constructor.name;
    return { array, base64: Buffer.from(buffer, byteOffset, byteLength).toString("base64") };
  });
}

/** What {@link asText} wrote. */
export function fromText(text: string): unknown {
  return JSON.parse(text, (_, value) => {
    if (typeof value?.base64 !== "string") return value;
    const bytes = Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0));
    return new ARRAYS[value.array as keyof typeof ARRAYS](bytes.buffer);
  });
}

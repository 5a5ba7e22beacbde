import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeSafetensors, MAX_HEADER_BYTES, parseHeader } from "../../../shared/prompt/safetensors.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { problem } from "../../helpers/problem.ts";

const several = new Uint8Array(readFileSync(new URL("golden/several.safetensors", import.meta.url)));

/** A file with the header text and as many zero bytes of data. */
function file(header: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function reject(header: string, dataBytes: number): string {
  const bytes = file(header, dataBytes);
  return problem(() => parseHeader(bytes, bytes.length, "w.safetensors"));
}

const tensor = (dtype: string, shape: string, begin: number, end: number) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

describe("a file of the reference implementation", () => {
  test("is read with absolute offsets", () => {
    const { metadata, tensors } = parseHeader(several, several.length, "several");
    expect(metadata).toEqual({ format: "pt", note: "é" });
    expect([...tensors.keys()]).toEqual(["a.weight", "empty", "z"]);
    const { begin, end, shape, dtype } = tensors.get("z")!;
    expect({ shape, dtype, end }).toEqual({ shape: [2, 3], dtype: "F32", end: several.length });
    expect(new Float32Array(several.slice(begin, end).buffer)).toEqual(new Float32Array([0, 1, 2, 3, 4, 5]));
  });

  test("is written byte for byte", () => {
    const written = encodeSafetensors(
      [
        { name: "z", shape: [2, 3], data: new Float32Array([0, 1, 2, 3, 4, 5]) },
        { name: "a.weight", shape: [2, 1], data: new Float32Array([0.5, -1.5]) },
        { name: "empty", shape: [0, 4], data: new Float32Array() },
      ],
      { format: "pt", note: "é" },
    );
    expect(Buffer.from(written).equals(several)).toBe(true);
  });

  test("is read from its header alone", () => {
    expect(parseHeader(several.subarray(0, several.length - 32), several.length, "several").tensors.size).toBe(3);
  });
});

describe("a hostile file is refused with file and tensor", () => {
  test.each<[string, string, number, RegExp]>([
    ["not JSON", "{", 0, /header of w\.safetensors can't be read as JSON/],
    ["not an object", "[]", 0, /not a JSON object/],
    ["key twice", `{"a":${tensor("F32", "[1]", 0, 4)},"a":${tensor("F32", "[1]", 0, 4)}}`, 4, /"a" is there twice/],
    ["key twice, escaped", `{"a":${tensor("F32", "[1]", 0, 4)},"\\u0061":${tensor("F32", "[1]", 0, 4)}}`, 4, /twice/],
    [
      "inner key twice",
      `{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}`,
      4,
      /"shape" is there twice/,
    ],
    ["unknown dtype", `{"a":${tensor("F8", "[4]", 0, 4)}}`, 4, /w\.safetensors, tensor "a": The dtype/],
    ["dtype of the prototype", `{"a":${tensor("toString", "[4]", 0, 4)}}`, 4, /The dtype/],
    ["shape does not fit", `{"a":${tensor("F32", "[2]", 0, 4)}}`, 4, /takes 8 bytes, but its offsets span 4/],
    ["fraction in the shape", `{"a":${tensor("F32", "[0.5]", 0, 4)}}`, 4, /shape must be/],
    ["negative shape", `{"a":${tensor("F32", "[-1]", 0, 4)}}`, 4, /shape must be/],
    ["too many axes", `{"a":${tensor("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4)}}`, 4, /at most 8/],
    [
      "overflow",
      `{"a":${tensor("F32", "[4294967296,4294967296,4294967296,0]", 0, 0)}}`,
      0,
      /more elements than can be counted/,
    ],
    ["offset above exact integers", `{"a":${tensor("U8", "[1]", 2 ** 53, 2 ** 53 + 2)}}`, 1, /data_offsets/],
    ["offsets reversed", `{"a":${tensor("F32", "[1]", 4, 0)}}`, 4, /data_offsets/],
    ["three offsets", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}', 4, /data_offsets/],
    [
      "overlap",
      `{"a":${tensor("F32", "[2]", 0, 8)},"b":${tensor("F32", "[1]", 4, 8)}}`,
      8,
      /tensor "b": Overlaps .* 4 bytes/,
    ],
    [
      "gap",
      `{"a":${tensor("F32", "[1]", 0, 4)},"b":${tensor("F32", "[1]", 8, 12)}}`,
      12,
      /tensor "b": Leaves a gap of 4/,
    ],
    ["data truncated", `{"a":${tensor("F32", "[2]", 0, 8)}}`, 4, /tensor "a": Is truncated/],
    ["bytes after", `{"a":${tensor("F32", "[1]", 0, 4)}}`, 5, /1 bytes after its last tensor/],
    ["no tensor but data", "{}", 1, /1 bytes after/],
    [
      "unknown field",
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"sparse":true}}',
      4,
      /unknown field "sparse"/,
    ],
    ["tensor is a number", '{"a":1}', 0, /Must be an object/],
    ["metadata of numbers", '{"__metadata__":{"a":1}}', 0, /Must be an object of strings/],
  ])("%s", (_, header, dataBytes, message) => {
    expect(reject(header, dataBytes)).toMatch(message);
  });

  test("shorter than its header's length", () => {
    expect(problem(() => parseHeader(new Uint8Array(7), 7, "w"))).toMatch(/w is truncated: it has 7 bytes/);
  });

  test("header longer than the file, or than any header", () => {
    const bytes = file("{}", 0);
    bytes[0] = 3;
    expect(problem(() => parseHeader(bytes, bytes.length, "w"))).toMatch(/truncated: its header ends at byte 11/);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(MAX_HEADER_BYTES + 1), true);
    expect(problem(() => parseHeader(bytes, bytes.length, "w"))).toMatch(/at most/);
    bytes.fill(0xff, 0, 8);
    expect(problem(() => parseHeader(bytes, bytes.length, "w"))).toMatch(/at most/);
  });

  test("header that is not UTF-8", () => {
    const bytes = file('{"a":1}', 0);
    bytes[10] = 0xff;
    expect(problem(() => parseHeader(bytes, bytes.length, "w"))).toMatch(/not UTF-8/);
  });

  test("every bad tensor is reported, and control characters of its name are not printed", () => {
    const bad = '{"dtype":"X","shape":[],"data_offsets":[0,0]}';
    const text = reject(`{"\\u001b[31m":${bad},"\\u009b":${bad}}`, 0);
    expect(text).toMatch(/2 faults/);
    expect(text).toContain('tensor "\\u001b[31m"');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

test("whatever bytes come, only a ProblemError is thrown", () => {
  const edit = fc.record({ at: fc.nat(several.length - 1), byte: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 8 }), fc.nat(several.length), (edits, length) => {
      const bytes = several.slice(0, Math.max(length, several.length - 40));
      for (const { at, byte } of edits) bytes[at] = byte;
      try {
        const { tensors } = parseHeader(bytes, bytes.length, "fuzz");
        for (const { begin, end } of tensors.values()) expect(end <= bytes.length && begin <= end).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(ProblemError);
      }
    }),
    { numRuns: 3000 },
  );
});

test("what is written is read back, whatever the tensors", () => {
  const arbitrary = fc.uniqueArray(
    fc.record({
      name: fc.string({ unit: "grapheme", maxLength: 20 }).filter((name) => name !== "__metadata__"),
      shape: fc.array(fc.nat(4), { maxLength: 3 }),
    }),
    { selector: ({ name }) => name, maxLength: 6 },
  );
  fc.assert(
    fc.property(arbitrary, (specs) => {
      const tensors = specs.map(({ name, shape }, i) => {
        const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(i);
        return { name, shape, data };
      });
      const bytes = encodeSafetensors(tensors);
      const header = parseHeader(bytes, bytes.length, "own");
      for (const { name, shape, data } of tensors) {
        const { begin, end, ...entry } = header.tensors.get(name)!;
        expect(entry).toEqual({ dtype: "F32", shape });
        expect(new Float32Array(bytes.slice(begin, end).buffer)).toEqual(data);
      }
    }),
    { examples: [[[{ name: "__proto__", shape: [] }]]] },
  );
});

test("tensors that can't be written are refused", () => {
  const data = new Float32Array(1);
  expect(problem(() => encodeSafetensors([{ name: "a", shape: [2], data }]))).toMatch(/has 1 elements/);
  const twice = { name: "a", shape: [1], data };
  expect(problem(() => encodeSafetensors([twice, twice]))).toMatch(/"a" is taken/);
});

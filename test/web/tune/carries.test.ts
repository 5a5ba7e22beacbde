import { deflateSync, gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { expect, test } from "vitest";
import { carries } from "./carries.ts";

const TEXT = "xylophone canary 4711";
const around = (bytes: Uint8Array) => Buffer.concat([Buffer.from("before…"), bytes, Buffer.from("after")]);
const json = Buffer.from(JSON.stringify({ rows: [`a ${TEXT} b`] }));

test.each([
  ["as it is", json],
  ["in UTF-16", Buffer.from(`a ${TEXT}`, "utf16le")],
  ["in UTF-16, the other way round", Buffer.from(`a ${TEXT}`, "utf16le").swap16()],
  ["in base64", Buffer.from(json.toString("base64"))],
  ["in base64, one byte on", Buffer.from(Buffer.concat([Buffer.from("x"), json]).toString("base64url"))],
  ["in base64, two bytes on", Buffer.from(Buffer.concat([Buffer.from("xy"), json]).toString("base64"))],
  ["in an address", Buffer.from(`/?q=${encodeURIComponent(TEXT)}`)],
  ["in a form", Buffer.from(`q=${TEXT.replaceAll(" ", "+")}`)],
  ["in gzip", gzipSync(json)],
  ["in zlib's form", deflateSync(json)],
  ["in a zip archive", Buffer.from(zipSync({ a: new Uint8Array(json) }))],
])("a text is found %s", (_, bytes) => {
  expect(carries(around(bytes), TEXT)).toBe(true);
  expect(carries(around(bytes), "another canary text")).toBe(false);
});

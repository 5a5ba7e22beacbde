import { expect, test } from "vitest";
import { formatApiKey, parseApiKey } from "../../../shared/protocol/api-key.ts";

const parts = { tenant: "abcdefghijkl2345", id: "234567abcdefghij" };
const secret = "_-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcde";

test("an API key says whose it is, and which", () => {
  expect(secret).toHaveLength(43);
  expect(formatApiKey(parts, secret)).toBe(`sp_abcdefghijkl2345_234567abcdefghij_${secret}`);
  expect(parseApiKey(formatApiKey(parts, secret))).toEqual(parts);
});

test.each([
  "",
  "sp_wrong",
  `sk${formatApiKey(parts, secret).slice(2)}`,
  formatApiKey(parts, secret.slice(1)),
  `${formatApiKey(parts, secret)}\n`,
  formatApiKey({ ...parts, tenant: "ABCDEFGHIJKL2345" }, secret),
])("%j is none", (key) => {
  expect(parseApiKey(key)).toBeUndefined();
});

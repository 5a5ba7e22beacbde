/** A text without the forms in which the same one may come: of white space, and of accents (Unicode's NFC). */
export const plainText = (text: string): string => text.toWellFormed().normalize("NFC").replace(/\s+/g, " ").trim();

/**
 * What a unit of privacy is known by, from its value's text: one person's values, written by different programs, are one unit. Numbers are
 * the same if they are worth the same, digit for digit (`7`, `007`, `7.0`, `70e-1`). Two people who become one by it are protected the better.
 */
export function unitKey(value: string): string {
  const plain = plainText(value);
  const [, sign = "", whole = "", part = "", exponent = "0"] = NUMBER.exec(plain) ?? [];
  if (whole === "") return plain;
  const digits = `${whole}${part}`.replace(/^0+/, "");
  let length = digits.length;
  while (digits[length - 1] === "0") length--;
  const significant = digits.slice(0, length);
  if (significant === "") return "0";
  const tens = Number(exponent) - part.length + digits.length - length;
  return tens >= 0 && tens <= SHORT ? `${sign}${significant}${"0".repeat(tens)}` : `${sign}${significant}e${tens}`;
}

/** A number, as JSON has them, and with more zeros before it. */
const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** So many zeros are written out. */
const SHORT = 20;

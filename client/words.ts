/** How numbers and names are said, the same in all messages. */

/** "1 row", "2 rows". @param plural if it isn't the name with an s */
export function count(amount: number, name: string, plural = `${name}s`): string {
  return `${amount} ${amount === 1 ? name : plural}`;
}

/** A part of one as "66.0 %". */
export function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

/** A number with at most so many digits that count: "8", "11.51", "0.001". */
export function short(value: number, digits = 4): string {
  const rounded = Number(value.toPrecision(digits));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
}

/** The same, never smaller than the number: of an upper bound. */
export function shortUp(value: number, digits = 4): string {
  const rounded = Number(value.toPrecision(digits));
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) + 1 - digits);
  return rounded >= value || !Number.isFinite(unit) ? short(value, digits) : short(rounded + unit, digits);
}

/** Bytes as "1.2 MB", in powers of 1000 as files are sold. */
export function bytes(size: number): string {
  const [unit, name] = size >= 1e9 ? [1e9, "GB"] : size >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(size / unit).toFixed(1)} ${name}`;
}

/** Seconds as 42s, 3m10s or 2h05m. */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`;
}

/** Millionths of a currency as "0.05 USD": as many digits as tell it from nothing, two at least. */
export function money(micros: number, currency: string): string {
  const amount = micros / 1e6;
  // Two decimals, or as many as show two digits, without zeros at their end.
  const decimals = amount === 0 ? 2 : Math.min(6, Math.max(2, 1 - Math.floor(Math.log10(Math.abs(amount)))));
  return `${amount.toFixed(decimals).replace(/(\.\d\d\d*?)0+$/, "$1")} ${currency}`;
}

/** A text in single quotes, as a shell takes it. */
export const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** An argument as a shell takes it. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : quoted(text);
}

/** A command to type next, as the last line of a result. */
export function next(...words: readonly string[]): string {
  return `Next: softpost ${words.map((word) => (/^[A-Z_|]+$/.test(word) ? word : shellWord(word))).join(" ")}`;
}

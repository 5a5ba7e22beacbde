/** Why a line is no JSON object, and where it stops being one. Neither quotes the line, which may be private. */
export interface JsonFault {
  readonly kind: string;
  /** Counted in characters from 1. */
  readonly column: number;
}

const SPREAD =
  "Is a part of JSON that is spread over several lines; every row must be an object on a line of its own (jq -c '.[]' writes an array so).";
/** What programs write for a value and JSON has no such word for. */
const FOREIGN_WORDS = /(None|True|False|TRUE|FALSE|NULL|NaN|nan|-?Infinity|-?inf|undefined|nil)\b/y;
const NUMBER = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?(?![\w.])/y;
const SPACE = /[ \t\r\n]*/y;

class Fault extends Error {
  readonly kind: string;
  readonly at: number;

  constructor(kind: string, at: number) {
    super(kind);
    this.kind = kind;
    this.at = at;
  }
}

/** What is wrong with a line that `JSON.parse` refuses. */
export function jsonFault(line: string): JsonFault {
  const { kind, at } = firstFault(line);
  return { kind, column: [...line.slice(0, at)].length + 1 };
}

function firstFault(line: string): { kind: string; at: number } {
  const first = line.search(/\S/);
  if (/^\s*[[{]\s*$|^\s*[\]}]+\s*,?\s*$|^\s*"(?:[^"\\]|\\.)*"\s*:/.test(line)) return { kind: SPREAD, at: first };
  try {
    new Scanner(line).row();
  } catch (error) {
    if (error instanceof RangeError) return { kind: "Is nested too deeply.", at: first };
    if (!(error instanceof Fault)) throw error;
    return line[first] === "[" && error.at >= line.trimEnd().length ? { kind: SPREAD, at: first } : error;
  }
  return { kind: "Is not JSON.", at: first };
}

/** Reads a line by JSON's grammar (RFC 8259) as far as it goes. */
class Scanner {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  row(): void {
    this.space();
    this.quotes();
    if (!/[[{]/.test(this.next())) this.fail("Is not JSON: a row is an object in braces.");
    this.value();
    const lone = /\r/.test(this.text.slice(this.at).match(/^\s*/)![0]);
    this.space();
    if (this.at === this.text.length) return;
    if (lone) this.fail("Goes on after a carriage return: lines must end with LF or CRLF.");
    if (this.next() === ",") this.fail("Has a comma after the row: rows stand one a line, with nothing between them.");
    if (this.next() === "{") this.fail("Has a second object on the line.");
    if (this.next() === "]") this.fail(SPREAD);
    this.fail("Goes on after the row's end.");
  }

  private next(): string {
    return this.text[this.at] ?? "";
  }

  private fail(kind: string, at = this.at): never {
    throw new Fault(kind, at);
  }

  private take(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) return false;
    this.at = pattern.lastIndex;
    return true;
  }

  private isForeign(): boolean {
    FOREIGN_WORDS.lastIndex = this.at;
    return FOREIGN_WORDS.test(this.text);
  }

  private space(): void {
    this.take(SPACE);
    if (/\s|\u200b|\ufeff/.test(this.next())) {
      this.fail("Has a space or an invisible character that JSON doesn't know between its parts.");
    }
    if (/^(\/\/|\/\*|#)/.test(this.text.slice(this.at, this.at + 2))) this.fail("Has a comment.");
  }

  private value(): void {
    if (this.next() === "{") this.members("}", () => this.member());
    else if (this.next() === "[") this.members("]", () => this.value());
    else if (this.next() === '"') this.string();
    else if (!this.take(NUMBER) && !this.take(/(true|false|null)\b/y)) this.badValue();
  }

  private badValue(): never {
    this.quotes();
    if (this.next() === "") this.fail("Ends where a value should stand.");
    if (this.isForeign())
      this.fail("Has a word of another language for a value; JSON has true, false and null, and no NaN.");
    if (/[-+.\d]/.test(this.next())) this.fail("Has a number in a form that JSON doesn't have.");
    if (/[,}\]]/.test(this.next())) this.fail("Lacks a value.");
    this.fail("Has a value without quotes.");
  }

  private quotes(): void {
    if (this.next() === "'") this.fail("Has single quotes; JSON has double quotes around keys and strings.");
    if (/[`\u2018-\u201f\u00ab\u00bb\u2039\u203a]/.test(this.next())) {
      this.fail('Has typographic quotes; JSON has plain ones (").');
    }
  }

  private member(): void {
    this.quotes();
    if (/[\p{L}_$]/u.test(this.next())) this.fail("Has a key without quotes.");
    if (this.next() !== '"') this.fail(this.next() === "" ? "Ends within the object." : "Lacks a key.");
    this.string();
    this.space();
    if (this.next() !== ":") this.fail(this.next() === "" ? "Ends within the object." : "Lacks a colon after a key.");
    this.at++;
    this.space();
    this.value();
  }

  /** What stands between `{` and `}` or `[` and `]`. */
  private members(end: string, one: () => void): void {
    const what = end === "}" ? "object" : "array";
    this.at++;
    this.space();
    if (this.next() === end) {
      this.at++;
      return;
    }
    for (;;) {
      one();
      this.space();
      if (this.next() === end) {
        this.at++;
        return;
      }
      if (this.next() === "")
        this.fail(`Ends within the ${what}: its closing ${end === "}" ? "brace" : "bracket"} is missing.`);
      if (this.next() !== ",")
        this.fail(`Lacks a comma between two parts of the ${what}, or a quote in a string isn't written \\".`);
      const comma = this.at++;
      this.space();
      if (this.next() === end) this.fail(`Has a comma before the end of the ${what}.`, comma);
    }
  }

  private string(): void {
    const start = this.at++;
    for (; this.at < this.text.length; this.at++) {
      const character = this.next();
      if (character === '"') {
        this.at++;
        return;
      }
      if (character < " ")
        this.fail("Has a tab or another control character in a string, which JSON writes as \\t or \\u0000.");
      if (character !== "\\") continue;
      if (!/^\\(["\\/bfnrt]|u[\da-fA-F]{4})/.test(this.text.slice(this.at, this.at + 6))) {
        this.fail("Has a backslash in a string that begins no escape; a backslash itself is written \\\\.");
      }
      this.at++;
    }
    this.fail(
      "Has a string without an end: its closing quote is missing, or a line break in it isn't written \\n.",
      start,
    );
  }
}

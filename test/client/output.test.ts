import { expect, test } from "vitest";
import { createIo, reportFailure, StoppedError } from "../../client/output.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";

function setUp(json: boolean, isTTY = false) {
  const written = { out: "", err: "" };
  const io = createIo(
    { isTTY, write: (text) => (written.out += text) },
    { write: (text) => (written.err += text) },
    () => ({
      json,
    }),
  );
  return { io, written };
}

const problem = new ProblemError("The task is not valid", "task.json has a fault.", {
  faults: [{ at: "task.json#/name", message: "Must be \u001b[31mtext." }],
});

test("a problem is told with its faults, and can't act on the terminal", () => {
  const { io, written } = setUp(false);
  expect(reportFailure(problem, io)).toBe(1);
  expect(written).toEqual({
    out: "",
    err: "The task is not valid: task.json has a fault.\n  task.json#/name: Must be \\u001b[31mtext.\n",
  });
});

test("with --json it is an object on stdout too", () => {
  const { io, written } = setUp(true);
  expect(reportFailure(problem, io)).toBe(1);
  expect(JSON.parse(written.out).error.faults).toEqual(problem.faults);
});

test("an interrupted run says how to go on", () => {
  const { io, written } = setUp(false);
  expect(reportFailure(new StoppedError("Stopped after step 7. Go on with --resume."), io)).toBe(130);
  expect(written.err).toMatch(/^Stopped after step 7\. Go on with --resume\.\n$/);
});

test("a disk that refuses something is no bug", () => {
  const { io, written } = setUp(false);
  const full = Object.assign(new Error("ENOSPC: write"), { code: "ENOSPC", syscall: "write", path: "/x/metrics" });
  expect(reportFailure(full, io)).toBe(1);
  expect(written.err).toBe(
    "The disk can't be used: /x/metrics can't be used (ENOSPC): the disk is full; free some space.\n",
  );
});

test("any other error is a bug of ours", () => {
  const { io, written } = setUp(true);
  expect(reportFailure(new TypeError("x is undefined"), io)).toBe(1);
  expect(written.out).toBe("");
  expect(written.err).toMatch(/bug in softpost(.|\n)*TypeError: x is undefined\n\s+at /);
});

test("a result is text or one line of JSON", () => {
  const [text, json] = [setUp(false), setUp(true)];
  for (const { io } of [text, json]) io.result({ a: 1 }, "a is 1");
  expect(text.written.out).toBe("a is 1\n");
  expect(json.written.out).toBe('{"a":1}\n');
});

const ESCAPE = "\u001b]0;owned\u0007\u009b2J\r";
const ESCAPED = "\\u001b]0;owned\\u0007\\u009b2J\\u000d";

test.each([false, true])("a result can't act on the terminal (that it goes to: %s)", (isTTY) => {
  const { io, written } = setUp(false, isTTY);
  io.result({}, `a\t${ESCAPE}\nb 🤖`);
  expect(written.out).toBe(`a\t${ESCAPED}\nb 🤖\n`);
});

test("rows, pieces and JSON can't act on a terminal; elsewhere they stay byte for byte", () => {
  const say = (isTTY: boolean) => {
    const { io, written } = setUp(true, isTTY);
    io.row(ESCAPE);
    io.piece(ESCAPE);
    io.result(ESCAPE, "");
    return written.out;
  };
  expect(say(false)).toBe(`${ESCAPE}\n${ESCAPE}${JSON.stringify(ESCAPE)}\n`);
  const [row, rest] = say(true).split("\n");
  expect(row).toBe(ESCAPED);
  expect(rest!.startsWith(ESCAPED)).toBe(true);
  expect(JSON.parse(rest!.slice(ESCAPED.length))).toBe(ESCAPE);
  expect(rest).not.toContain("\u009b");
});

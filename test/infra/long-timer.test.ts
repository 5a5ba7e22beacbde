import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { after } from "../../infra/local/batch/long-timer.ts";

const DAY = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

// As Node has it: a timer that is set to more than 2^31 - 1 ms fires after one.
test("a job's limit may be longer than a timer of Node's", () => {
  const set = vi.spyOn(globalThis, "setTimeout");
  const act = vi.fn();
  after(60 * DAY, act);
  vi.advanceTimersByTime(60 * DAY - 1);
  expect(act).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(act).toHaveBeenCalledOnce();
  expect(set.mock.calls.every(([, milliseconds]) => milliseconds! < 2 ** 31)).toBe(true);
});

test("it can be called off at any time", () => {
  const act = vi.fn();
  const cancel = after(60 * DAY, act);
  vi.advanceTimersByTime(30 * DAY);
  cancel();
  vi.advanceTimersByTime(60 * DAY);
  expect(act).not.toHaveBeenCalled();
});

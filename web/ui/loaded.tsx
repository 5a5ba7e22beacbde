import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Button } from "./button.tsx";
import { Message, Problem } from "./message.tsx";

/** What is loaded: perhaps a value, perhaps what went wrong with the last try, and when the value came. */
export interface Loading<T> {
  readonly value: T | undefined;
  readonly error: unknown;
  readonly at: Date | undefined;
  readonly reload: () => void;
}

/** A browser that is back on line says so a moment before requests get through. */
const ONLINE_MS = 1000;

/** Does something when the browser is back on line, until it is stopped. */
export function whenOnline(action: () => void, signal: AbortSignal): void {
  const later = () => setTimeout(() => signal.aborted || action(), ONLINE_MS);
  window.addEventListener("online", later, { signal });
}

/**
 * Loads something when a view opens, again when it is asked to, and when the browser is back on line. A value stays while another is loaded, and if that
 * fails.
 *
 * @param inputs what `load` depends on: it is called again when one changes
 */
export function useLoading<T>(load: (signal: AbortSignal) => Promise<T>, inputs: readonly unknown[]): Loading<T> {
  const [state, setState] = useState<Omit<Loading<T>, "reload">>({ value: undefined, error: undefined, at: undefined });
  const [turn, setTurn] = useState(0);
  const before = useRef(inputs);
  const reload = useCallback(() => setTurn((now) => now + 1), []);
  useEffect(() => {
    const stop = new AbortController();
    const isOther = inputs.some((input, index) => input !== before.current[index]);
    before.current = inputs;
    setState((old) => (isOther ? { value: undefined, error: undefined, at: undefined } : { ...old, error: undefined }));
    load(stop.signal).then(
      (value) => stop.signal.aborted || setState({ value, error: undefined, at: new Date() }),
      (error) => stop.signal.aborted || setState((old) => ({ ...old, error })),
    );
    whenOnline(reload, stop.signal);
    return () => stop.abort();
  }, [...inputs, turn]);
  return { ...state, reload };
}

/** What was loaded, or that it is being loaded, or what went wrong and a button to try again. */
export function Loaded<T>({
  of: { value, error, at, reload },
  children,
}: {
  readonly of: Loading<T>;
  readonly children: (value: T) => ComponentChildren;
}) {
  return (
    <>
      {error !== undefined && (
        <>
          <Problem error={error} />
          {!navigator.onLine && (
            <Message kind="warning">
              <p>This browser is off line; it is tried again when it is back.</p>
            </Message>
          )}
          {at && <p class="quiet">What is shown is from {at.toLocaleTimeString()}.</p>}
          <div class="buttons">
            <Button onClick={reload}>Try again</Button>
          </div>
        </>
      )}
      {value !== undefined && children(value)}
      {value === undefined && error === undefined && (
        <p class="skeleton" role="status">
          Loading …
        </p>
      )}
    </>
  );
}

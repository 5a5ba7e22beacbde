import type { ComponentChildren } from "preact";
import { ProblemError } from "../../shared/protocol/errors.ts";

type Kind = "note" | "good" | "warning" | "error";

/** Something to read; an error is read out when it appears. */
export function Message({
  kind = "note",
  title,
  children,
}: {
  readonly kind?: Kind;
  readonly title?: string;
  readonly children?: ComponentChildren;
}) {
  return (
    <div class={`message ${kind}`} role={kind === "error" ? "alert" : undefined}>
      {title !== undefined && (
        <p>
          <strong>{title}</strong>
        </p>
      )}
      {children}
    </div>
  );
}

/** What went wrong: a problem with all its faults. What else is thrown is a bug, and shown as it is. */
export function Problem({ error }: { readonly error: unknown }) {
  if (!(error instanceof ProblemError)) {
    return (
      <Message kind="error" title="Something went wrong in this page">
        <p class="wrap">{String(error)}</p>
      </Message>
    );
  }
  const { title, detail, faults } = error;
  return (
    <Message kind="error" title={title}>
      <p class="wrap">{detail}</p>
      {faults.length > 0 && (
        <ul>
          {faults.map(({ at, message }) => (
            <li key={`${at} ${message}`}>
              <code>{at}</code>: {message}
            </li>
          ))}
        </ul>
      )}
    </Message>
  );
}

/** What is shown where there is nothing yet, and what to do about it. */
export function Nothing({ children }: { readonly children: ComponentChildren }) {
  return <div class="nothing">{children}</div>;
}

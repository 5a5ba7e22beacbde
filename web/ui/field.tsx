import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface Common {
  readonly label: string;
  readonly hint?: ComponentChildren;
  /** What is wrong with the value. */
  readonly fault?: string | undefined;
  readonly required?: boolean;
}

/** What a control needs to be known by its label, hint and fault. */
interface Named {
  readonly id: string;
  readonly "aria-describedby": string | undefined;
  readonly "aria-invalid": boolean;
}

/** A control with its label, a hint and what is wrong with it. */
export function Field({
  label,
  hint,
  fault,
  children,
}: Common & { readonly children: (named: Named) => ComponentChildren }) {
  const id = useId();
  const [hintId, faultId] = [`${id}-hint`, `${id}-fault`];
  const described = [hint !== undefined && hintId, fault !== undefined && faultId].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": described || undefined, "aria-invalid": fault !== undefined })}
      {hint !== undefined && (
        <p class="hint" id={hintId}>
          {hint}
        </p>
      )}
      {fault !== undefined && (
        <p class="fault" id={faultId}>
          {fault}
        </p>
      )}
    </div>
  );
}

interface Valued extends Common {
  readonly value: string;
  readonly onValue: (value: string) => void;
}

/** A line of text; a number where `isNumber`, which is still read as a text. */
export function TextField({
  label,
  hint,
  fault,
  value,
  onValue,
  isNumber = false,
  isSecret = false,
  required = false,
}: Valued & { readonly isNumber?: boolean; readonly isSecret?: boolean }) {
  return (
    <Field label={label} hint={hint} fault={fault}>
      {(named) => (
        <input
          {...named}
          {...(isSecret ? ({ type: "password" } as const) : ({ type: "text" } as const))}
          inputMode={isNumber ? "decimal" : "text"}
          autocomplete="off"
          spellcheck={false}
          required={required}
          value={value}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function TextArea({ label, hint, fault, value, onValue, required = false }: Valued) {
  return (
    <Field label={label} hint={hint} fault={fault}>
      {(named) => (
        <textarea
          {...named}
          required={required}
          value={value}
          onInput={(event) => onValue(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

/** One of some choices, each a value and how it is shown. */
export function SelectField({
  label,
  hint,
  fault,
  value,
  onValue,
  choices,
}: Common & {
  readonly value: string;
  readonly onValue: (value: string) => void;
  readonly choices: readonly (readonly [value: string, shown: string])[];
}) {
  return (
    <Field label={label} hint={hint} fault={fault}>
      {(named) => (
        <select {...named} value={value} onChange={(event) => onValue(event.currentTarget.value)}>
          {choices.map(([each, shown]) => (
            <option key={each} value={each}>
              {shown}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function CheckField({
  children,
  checked,
  onChecked,
}: {
  readonly children: ComponentChildren;
  readonly checked: boolean;
  readonly onChecked: (checked: boolean) => void;
}) {
  const id = useId();
  return (
    <div class="check">
      <input id={id} type="checkbox" checked={checked} onChange={(event) => onChecked(event.currentTarget.checked)} />
      <label for={id}>{children}</label>
    </div>
  );
}

import { useState } from "preact/hooks";
import { Button } from "./button.tsx";

/** A text to copy, with a button for it. */
export function Copy({ label, text }: { readonly label: string; readonly text: string }) {
  const [said, setSaid] = useState("");
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setSaid("Copied."),
      () => setSaid("The browser doesn't allow it; mark the text and copy it."),
    );
  return (
    <>
      <pre class="wrap">{text}</pre>
      <div class="buttons">
        <Button small onClick={copy}>
          Copy {label}
        </Button>
        <span role="status" class="quiet small">
          {said}
        </span>
      </div>
    </>
  );
}

import { useState } from "preact/hooks";
import { Button } from "../ui/button.tsx";
import { CheckField, TextField } from "../ui/field.tsx";
import { Problem } from "../ui/message.tsx";
import { apiWith, useSession } from "./session.ts";

/** Asks for the API key, and tries it. */
export function SignIn() {
  const { signIn, provider } = useSession();
  const [key, setKey] = useState("");
  const [keep, setKeep] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const tryKey = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await apiWith(key.trim()).budget();
      signIn(key.trim(), keep);
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  return (
    <form
      class="panel"
      onSubmit={(event) => {
        event.preventDefault();
        void tryKey();
      }}
    >
      <h2>Your key</h2>
      <p>The provider at {provider.url.host} gave you one; with softpost serve it was printed at the start.</p>
      <TextField
        label="API key"
        value={key}
        onValue={setKey}
        isSecret
        required
        hint="It begins with sp_ and stays in this page's memory."
      />
      <CheckField checked={keep} onChecked={setKeep}>
        Keep it until this tab is closed, also when the page is loaded again
      </CheckField>
      {error !== undefined && <Problem error={error} />}
      <div class="buttons">
        <Button type="submit" kind="primary" busy={busy} disabled={key.trim() === ""}>
          Sign in
        </Button>
      </div>
    </form>
  );
}

import { useState } from "preact/hooks";
import type { Api } from "../../../client/api/api.ts";
import { WEIGHTS_FILE } from "../../../shared/prompt/adapter.ts";
import { MANIFEST_FILE } from "../../../shared/protocol/manifest.ts";
import { Button } from "../../ui/button.tsx";
import { SelectField, TextField } from "../../ui/field.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Message, Problem } from "../../ui/message.tsx";
import type { Finished } from "../worker/messages.ts";

/** Sends the prompt and its manifest, and nothing else. */
export function Submission({ api, finished }: { readonly api: Api; readonly finished: Finished }) {
  const sets = useLoading(async () => (await api.publicSets()).filter(({ retired }) => !retired), [api]);
  const [picked, setPicked] = useState<string>();
  const [dataset, setDataset] = useState("");
  const [error, setError] = useState<unknown>();
  const [sent, setSent] = useState<string>();
  const [busy, setBusy] = useState(false);
  // The same for every try.
  const [key] = useState(() => crypto.randomUUID());
  const submit = async (publicSet: string) => {
    setBusy(true);
    setError(undefined);
    const weights = finished.files.find(({ name }) => name === WEIGHTS_FILE)!.bytes;
    try {
      const submission = await api.submission(
        { manifest: finished.manifest, weights },
        { dataset, publicSet },
        { idempotencyKey: key },
      );
      setSent((await api.submit(submission)).id);
    } catch (cause) {
      setError(cause);
    }
    setBusy(false);
  };
  if (sent !== undefined) {
    return (
      <div role="status">
        <Message kind="good">
          Submitted: <a href={`#/transfers/${sent}`}>{sent}</a>
        </Message>
      </div>
    );
  }
  return (
    <Loaded of={sets}>
      {(all) => {
        const publicSet = picked ?? all[0]?.id ?? "";
        return (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              void submit(publicSet);
            }}
          >
            <h3>Submit it to the provider</h3>
            <div class="fields">
              <SelectField
                label="Public texts most like yours"
                value={publicSet}
                onValue={setPicked}
                choices={all.map(({ id, description }) => [id, description === "" ? id : `${id}: ${description}`])}
              />
              <TextField
                label="Name of the private data"
                hint="The same for every prompt that is tuned on them: the provider keeps their privacy budget by it."
                value={dataset}
                onValue={setDataset}
              />
            </div>
            <p>
              {WEIGHTS_FILE} and {MANIFEST_FILE} are sent, and these two names. No row.
            </p>
            <div class="buttons">
              <Button type="submit" busy={busy} disabled={dataset === "" || publicSet === ""}>
                Submit
              </Button>
            </div>
            {error !== undefined && <Problem error={error} />}
          </form>
        );
      }}
    </Loaded>
  );
}

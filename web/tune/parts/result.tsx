import { useEffect, useState } from "preact/hooks";
import { percent, short, shortUp } from "../../../client/words.ts";
import { CONFIG_FILE, WEIGHTS_FILE } from "../../../shared/prompt/adapter.ts";
import type { PublicSet } from "../../../shared/protocol/catalogue.ts";
import { MANIFEST_FILE } from "../../../shared/protocol/manifest.ts";
import { type Shown, shownProblem, type TuneApi } from "../api.ts";
import { saveZip } from "../save-zip.ts";
import { submitPrompt } from "../submit-prompt.ts";
import type { Finished } from "../worker/messages.ts";
import { Problem } from "./problem.tsx";
import { TextField } from "./task-editor.tsx";

/** What came out, and where it may go. */
export function Result({ api, finished }: { readonly api: TuneApi; readonly finished: Finished }) {
  const { manifest, files, measured, total, loss } = finished;
  const { privacy, task } = manifest;
  return (
    <>
      <p>
        A prompt of {manifest.prompt.virtualTokens} virtual tokens for {manifest.model.id}; loss {loss.toFixed(3)} on
        its own rows, which is for your eyes only.
      </p>
      {measured?.kind === "classification" && (
        <p>
          <strong>{percent(measured.figures.accuracy)}</strong> right (± {percent(measured.figures.standardError)}) on{" "}
          {measured.figures.examples} rows that were kept back; always “{measured.figures.baselines.largestClass.name}”
          is {percent(measured.figures.baselines.largestClass.accuracy)}
          {measured.figures.baselines.withoutPrompt !== null &&
            `, the student without the prompt ${percent(measured.figures.baselines.withoutPrompt)}`}
          .
        </p>
      )}
      {measured?.kind === "generation" && (
        <p>
          Of the answers on rows that were kept back, {percent(measured.figures.exactMatch)} are exactly right; F1{" "}
          {percent(measured.figures.f1)}.
        </p>
      )}
      {privacy ? (
        <p>
          Private: ε {shortUp(privacy.epsilon)} at δ {short(privacy.delta)} for one row.
          {total &&
            total.runs > 1 &&
            ` The ${total.runs} private runs on these rows together: ε ${shortUp(total.epsilon)}. That is what counts.`}
        </p>
      ) : (
        <p class="problem">
          <strong>Not private:</strong> this prompt guarantees nothing; who has it may find out whose rows are in it. It
          is not submitted from here.
        </p>
      )}
      <button
        type="button"
        class="primary"
        onClick={() => saveZip(`${task.name.replaceAll(" ", "-")}-prompt.zip`, files)}
      >
        Download the prompt's folder
      </button>{" "}
      <small>
        {CONFIG_FILE}, {WEIGHTS_FILE}, {MANIFEST_FILE}
      </small>
      {privacy && <Submission api={api} finished={finished} />}
    </>
  );
}

/** Sends the prompt and its manifest, and nothing else. */
function Submission({ api, finished }: { readonly api: TuneApi; readonly finished: Finished }) {
  const [sets, setSets] = useState<readonly PublicSet[]>([]);
  const [publicSet, setPublicSet] = useState("");
  const [dataset, setDataset] = useState("");
  const [problem, setProblem] = useState<Shown>();
  const [sent, setSent] = useState<string>();
  const [sending, setSending] = useState(false);
  const [key] = useState(() => crypto.randomUUID());
  useEffect(() => {
    api.publicSets().then(
      (all) => {
        const usable = all.filter(({ retired }) => !retired);
        setSets(usable);
        setPublicSet(usable[0]?.id ?? "");
      },
      (error) => setProblem(shownProblem(error)),
    );
  }, [api]);
  const submit = async (event: Event) => {
    event.preventDefault();
    setSending(true);
    setProblem(undefined);
    try {
      setSent(await submitPrompt(api.connection, finished.files, { dataset, publicSet }, key));
    } catch (error) {
      setProblem(shownProblem(error));
    }
    setSending(false);
  };
  if (sent !== undefined) {
    return (
      <p role="status">
        Submitted: <a href={`#/transfers/${sent}`}>{sent}</a>
      </p>
    );
  }
  return (
    <form onSubmit={submit}>
      <h4>Submit it to {api.connection.url}</h4>
      <div class="fields">
        <label>
          Public texts most like yours
          <select value={publicSet} onChange={(event) => setPublicSet(event.currentTarget.value)}>
            {sets.map(({ id, description }) => (
              <option key={id} value={id}>
                {id}: {description}
              </option>
            ))}
          </select>
        </label>
        <TextField
          label="Name of the private data, the same for every prompt tuned on them"
          value={dataset}
          onText={setDataset}
        />
      </div>
      <p>
        {WEIGHTS_FILE} and {MANIFEST_FILE} are sent, the name above, and the public set's. No row.
      </p>
      <button type="submit" disabled={sending || dataset === "" || publicSet === ""}>
        Submit
      </button>
      <Problem problem={problem} />
    </form>
  );
}

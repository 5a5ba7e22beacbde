import { useState } from "preact/hooks";
import type { Api } from "../../client/api/api.ts";
import { describeOptions, describeQuote } from "../../client/describe-quote.ts";
import { short, shortUp } from "../../client/words.ts";
import { unitText } from "../../shared/privacy/unit.ts";
import type { Manifest } from "../../shared/protocol/manifest.ts";
import type { Quote } from "../../shared/protocol/quote.ts";
import { optionsSchema } from "../../shared/protocol/transfer-options.ts";
import type { Submission } from "../../shared/submission/submission.ts";
import { validateUpload } from "../../shared/submission/validate.ts";
import { goTo } from "../shell/route.ts";
import { useApi, useSession } from "../shell/session.ts";
import { Button } from "../ui/button.tsx";
import { DropZone } from "../ui/drop-zone.tsx";
import { CheckField } from "../ui/field.tsx";
import { Loaded, useLoading } from "../ui/loaded.tsx";
import { Message, Problem } from "../ui/message.tsx";
import { Facts, Panel } from "../ui/panel.tsx";
import { readPrompt, type TunedPrompt } from "./submit/dropped.ts";
import { DryRun } from "./submit/dry-run.tsx";
import { labelsOf, OptionFields, optionsOf, START, type Typed } from "./submit/options.tsx";

/** Takes a prompt folder, checks it here, shows what would be sent and what it costs, and sends it. */
export default function Submit() {
  const api = useApi();
  const loading = useLoading(async () => {
    const [students, publicSets] = await Promise.all([api.students(), api.publicSets()]);
    return { students, publicSets };
  }, [api]);
  return <Loaded of={loading}>{(catalogue) => <Form api={api} catalogue={catalogue} />}</Loaded>;
}

function Form({ api, catalogue }: { readonly api: Api; readonly catalogue: Parameters<typeof validateUpload>[1] }) {
  const [prompt, setPrompt] = useState<TunedPrompt>();
  const [typed, setTyped] = useState<Typed>(START);
  const [ready, setReady] = useState<Submission>();
  const [error, setError] = useState<unknown>();
  const change = (action: () => void) => {
    setReady(undefined);
    setError(undefined);
    action();
  };
  const take = (files: readonly File[]) => {
    change(() => setPrompt(undefined));
    readPrompt(files).then(setPrompt, setError);
  };
  const check = async () => {
    setReady(undefined);
    setError(undefined);
    try {
      const submission = await api.submission(prompt!, optionsOf(typed), labelsOf(typed));
      const parts = Object.fromEntries(submission.parts.map(({ name, bytes }) => [name, bytes]));
      await validateUpload(parts as Parameters<typeof validateUpload>[0], catalogue);
      // Only now: nothing that the provider would refuse can be sent.
      setReady(submission);
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <>
      <Panel title="1. The prompt">
        <DropZone button="Choose a prompt folder" folder onFiles={take}>
          <p>Drop the folder that softpost tune wrote, or its three files. It is read and checked in this page.</p>
        </DropZone>
        {prompt && <About prompt={prompt} />}
      </Panel>
      {prompt && (
        <Panel title="2. How it is transferred">
          <OptionFields
            typed={typed}
            onTyped={(now) => change(() => setTyped(now))}
            publicSets={catalogue.publicSets}
          />
          <div class="buttons">
            <Button kind="primary" onClick={check}>
              Check, and show all that would be sent
            </Button>
          </div>
        </Panel>
      )}
      {error !== undefined && <Problem error={error} />}
      {ready && <Send key={ready.headers["idempotency-key"]} submission={ready} />}
    </>
  );
}

function About({ prompt: { manifest, others } }: { readonly prompt: TunedPrompt }) {
  const { task, model, prompt, privacy } = manifest;
  return (
    <>
      <Facts
        of={[
          ["Task", task.name],
          ["Tuned on", model.id],
          ["Prompt", `${prompt.virtualTokens} virtual tokens of width ${prompt.dimension}`],
          ["Privacy", privacy ? guarantee(privacy) : "none: it was tuned without differential privacy"],
        ]}
      />
      {others.length > 0 && (
        <p class="quiet small">
          Neither read nor sent: {others.slice(0, 10).join(", ")}
          {others.length > 10 ? " …" : ""}
        </p>
      )}
    </>
  );
}

const guarantee = ({ epsilon, delta, unit }: NonNullable<Manifest["privacy"]>) =>
  `ε ${shortUp(epsilon)} at δ ${short(delta)} for ${unitText(unit)}`;

function Send({ submission }: { readonly submission: Submission }) {
  const api = useApi();
  const { provider } = useSession();
  const { manifest, options } = submission;
  const [quote, setQuote] = useState<Quote>();
  const [agreed, setAgreed] = useState(manifest.privacy !== null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const act = async (action: () => Promise<void>) => {
    setBusy(true);
    setError(undefined);
    await action().catch(setError);
    setBusy(false);
  };
  const ask = () => act(async () => setQuote(await api.quote(submission)));
  const submit = () =>
    act(async () => {
      const { id } = await api.submit(submission);
      goTo("transfers", id);
    });
  const all = optionsSchema.parse(options);
  return (
    <>
      <DryRun submission={submission} provider={provider.url} />
      <Panel title="3. What it costs">
        <p>{describeOptions(all, manifest.task)}.</p>
        {quote ? (
          <>
            <ul>
              {describeQuote(quote, all.dataset).map((line) => (
                <li key={line}>{line}</li>
              ))}
            </ul>
            {quote.refusals.length > 0 && (
              <Message kind="error" title="A budget would be passed">
                <ul>
                  {quote.refusals.map(({ budget, message }) => (
                    <li key={budget}>{message}</li>
                  ))}
                </ul>
              </Message>
            )}
          </>
        ) : (
          <div class="buttons">
            <Button kind="primary" busy={busy} onClick={ask}>
              Ask for a quote
            </Button>
            <span class="quiet small">It sends the manifest and the options, not the prompt.</span>
          </div>
        )}
        {manifest.privacy === null && (
          <>
            <Message kind="warning" title="This prompt is not private">
              <p>It was tuned without differential privacy, and may give its texts away to whoever has it.</p>
            </Message>
            <CheckField checked={agreed} onChecked={setAgreed}>
              Send it all the same
            </CheckField>
          </>
        )}
        {error !== undefined && <Problem error={error} />}
        {quote && (
          <div class="buttons">
            <Button kind="primary" busy={busy} disabled={!agreed || quote.refusals.length > 0} onClick={submit}>
              Submit
            </Button>
          </div>
        )}
      </Panel>
    </>
  );
}

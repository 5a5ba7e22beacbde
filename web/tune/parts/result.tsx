import type { Api } from "../../../client/api/api.ts";
import { percent, short, shortUp } from "../../../client/words.ts";
import { unitText } from "../../../shared/privacy/unit.ts";
import { CONFIG_FILE, WEIGHTS_FILE } from "../../../shared/prompt/adapter.ts";
import { MANIFEST_FILE } from "../../../shared/protocol/manifest.ts";
import { Button } from "../../ui/button.tsx";
import { Message } from "../../ui/message.tsx";
import { Facts } from "../../ui/panel.tsx";
import { save } from "../../ui/save.ts";
import type { Finished } from "../worker/messages.ts";
import { zipped } from "./ledger.tsx";
import { Submission } from "./submission.tsx";

/** What came out, and where it may go. */
export function Result({ api, finished }: { readonly api: Api; readonly finished: Finished }) {
  const { manifest, files, measured, total, loss } = finished;
  const { privacy, task } = manifest;
  const name = `${task.name.replaceAll(" ", "-")}-prompt.zip`;
  return (
    <>
      <Facts
        of={[
          ["Prompt", `${manifest.prompt.virtualTokens} virtual tokens for ${manifest.model.id}`],
          ...(measured ? figures(measured) : []),
          ["Loss on its own rows", `${loss.toFixed(3)}, for your eyes only`],
          ...(privacy
            ? [
                [
                  "Privacy",
                  `ε ${shortUp(privacy.epsilon)} at δ ${short(privacy.delta)} for ${unitText(privacy.unit)}`,
                ] as const,
              ]
            : []),
          ...(total && total.runs > 1
            ? [
                [
                  `All ${total.runs} runs on these rows`,
                  `ε ${shortUp(total.epsilon)} for ${total.unit}: that is what counts`,
                ] as const,
              ]
            : []),
        ]}
      />
      {!privacy && (
        <Message kind="warning" title="Not private">
          <p>
            This prompt guarantees nothing; who has it may find out whose rows are in it. It is not submitted from here.
          </p>
        </Message>
      )}
      <div class="buttons">
        <Button kind="primary" onClick={() => save(name, zipped(files), "application/zip")}>
          Download the prompt's folder
        </Button>
        <span class="quiet small">
          {CONFIG_FILE}, {WEIGHTS_FILE}, {MANIFEST_FILE}
        </span>
      </div>
      {privacy && <Submission api={api} finished={finished} />}
    </>
  );
}

/** What the prompt does on the rows that were kept back. */
function figures(measured: NonNullable<Finished["measured"]>): (readonly [string, string])[] {
  if (measured.kind === "generation") {
    const { exactMatch, f1 } = measured.figures;
    return [["Rows kept back", `${percent(exactMatch)} of the answers exactly right, F1 ${percent(f1)}`]];
  }
  const { accuracy, standardError, examples, baselines } = measured.figures;
  const { largestClass, withoutPrompt } = baselines;
  return [
    ["Right on rows kept back", `${percent(accuracy)} (± ${percent(standardError)}) of ${examples}`],
    [`Always “${largestClass.name}”`, percent(largestClass.accuracy)],
    ...(withoutPrompt === null ? [] : [["The student without the prompt", percent(withoutPrompt)] as const]),
  ];
}

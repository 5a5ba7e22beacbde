import { headerBytes } from "../../../shared/prompt/safetensors.ts";
import type { Submission } from "../../../shared/submission/submission.ts";
import { Button } from "../../ui/button.tsx";
import { Code } from "../../ui/code.tsx";
import { Panel } from "../../ui/panel.tsx";
import { save } from "../../ui/save.ts";

/** Every byte that a submission would send, but for the key. */
export function DryRun({ submission, provider }: { readonly submission: Submission; readonly provider: URL }) {
  const { headers, body, parts } = submission;
  const lines = [
    `POST ${provider.origin}/v1/transfers`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "authorization: Bearer (your API key)",
    `content-length: ${body.length}`,
  ];
  return (
    <Panel title={`All ${body.length} bytes that would be sent`}>
      <Code label="The request's line and headers" text={lines.join("\n")} />
      {parts.map(({ name, type, bytes }) => (
        <details key={name} open={type === "application/json"}>
          <summary>
            Part “{name}”, {bytes.length} bytes, {type}
          </summary>
          <Code
            label={`Part ${name}`}
            text={type === "application/json" ? new TextDecoder().decode(bytes) : numbersOf(bytes, name)}
          />
        </details>
      ))}
      <div class="buttons">
        <Button small onClick={() => save("submission.bin", body, "application/octet-stream")}>
          Save the whole body
        </Button>
        <span class="quiet small">Nothing of it was sent.</span>
      </div>
    </Panel>
  );
}

/** A weight file's header; the rest are numbers. */
function numbersOf(bytes: Uint8Array, name: string): string {
  const end = headerBytes(bytes, bytes.length, name);
  return `${new TextDecoder().decode(bytes.subarray(8, end)).trimEnd()}\n… and ${bytes.length - end} bytes of numbers`;
}

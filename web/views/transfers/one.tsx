import { useEffect, useState } from "preact/hooks";
import { transferPath } from "../../../client/api/api.ts";
import { describeTravel } from "../../../client/describe-transfer.ts";
import { bytes, duration, money } from "../../../client/words.ts";
import type { Transfer } from "../../../shared/protocol/transfer.ts";
import { useApi } from "../../shell/session.ts";
import { StateBadge } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { Chart } from "../../ui/chart.tsx";
import { Digest } from "../../ui/digest.tsx";
import { Message, Problem } from "../../ui/message.tsx";
import { Facts, Panel } from "../../ui/panel.tsx";
import { Progress } from "../../ui/progress.tsx";
import { save } from "../../ui/save.ts";
import { Table } from "../../ui/table.tsx";

/** One transfer, followed by the provider's events to its end. */
export function OneTransfer({ id }: { readonly id: string }) {
  const api = useApi();
  const [transfer, setTransfer] = useState<Transfer>();
  const [error, setError] = useState<unknown>();
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    const fail = (cause: unknown) => stop.signal.aborted || setError(cause);
    setError(undefined);
    const watch = async () => {
      setTransfer(await api.transfer(id, stop));
      for await (const now of api.wait(id, { signal: stop.signal, onLost: fail })) {
        setError(undefined);
        setTransfer(now);
      }
    };
    watch().catch(fail);
    return () => stop.abort();
  }, [api, id, turn]);
  return (
    <>
      <p>
        <a href="#/transfers">All transfers</a>
      </p>
      {error !== undefined && (
        <>
          <Problem error={error} />
          <div class="buttons">
            <Button onClick={() => setTurn(turn + 1)}>Try again</Button>
          </div>
        </>
      )}
      {transfer && <Shown transfer={transfer} onChange={setTransfer} />}
      {!transfer && error === undefined && (
        <p class="skeleton" role="status">
          Loading …
        </p>
      )}
    </>
  );
}

function Shown({ transfer, onChange }: { readonly transfer: Transfer; readonly onChange: (now: Transfer) => void }) {
  const { id, name, state, progress, cost, problem, advice, losses, files, deleted } = transfer;
  return (
    <>
      <Panel title={name ?? id} actions={<StateBadge state={state} />}>
        <div aria-live="polite">
          <p class="hidden">
            The transfer is {state}.{problem}
          </p>
        </div>
        {progress && !cost && (
          <Progress
            label={progress.phase}
            done={progress.done}
            total={progress.total}
            note={`${progress.done} of ${progress.total} ${progress.unit ?? "steps"}${progress.loss === undefined ? "" : `, loss ${progress.loss.toPrecision(4)}`}`}
          />
        )}
        {!progress && !cost && <Progress label="It waits for a device" />}
        {problem !== null && (
          <Message kind="error" title="Why it failed">
            <p class="wrap">{problem}</p>
          </Message>
        )}
        {transfer.travel && <p>{describeTravel(transfer.travel)}.</p>}
        {advice.map((each) => (
          <p key={each}>{each}</p>
        ))}
        <Facts of={factsOf(transfer)} />
        <Actions transfer={transfer} onChange={onChange} />
      </Panel>
      {losses.length > 0 && (
        <Panel title="Loss">
          <Chart
            title="Transfer loss on the public texts"
            x={{ name: "step", values: losses.map(({ step }) => step) }}
            series={[{ name: "loss", values: losses.map(({ loss }) => loss), colour: "accent" }]}
          />
        </Panel>
      )}
      {files.length > 0 && deleted === null && (
        <Panel title="The transferred prompt">
          <Table
            caption="Files of the transferred prompt"
            columns={[{ title: "File" }, { title: "Size", isNumber: true }, { title: "SHA-256" }]}
            rows={files.map((file) => ({
              key: file.name,
              cells: [file.name, bytes(file.size), <Digest key="digest" of={file.sha256} />],
            }))}
          />
        </Panel>
      )}
    </>
  );
}

function factsOf(transfer: Transfer): (readonly [string, string])[] {
  const { id, student, options, created, rate, device, estimatedSeconds, reserved, cost, actualSeconds } = transfer;
  const price = (micros: number) => money(micros, rate.currency);
  return [
    ["Transfer", id],
    ["Submitted", new Date(created).toLocaleString()],
    ["Student", student],
    ["Data set", options.dataset],
    ["Public texts", options.publicSet],
    ["Steps", `${options.steps} of ${options.batchSize} texts`],
    ["Device", `${device ?? rate.device} at ${price(rate.microsPerHour)} an hour`],
    ["Estimated", duration(estimatedSeconds)],
    cost
      ? ["Paid", `${price(cost.micros)} for ${duration(actualSeconds ?? cost.deviceSeconds)}`]
      : ["Set aside", `${price(reserved.micros)}, the most that it can cost`],
    ...Object.entries(transfer.metadata),
  ];
}

/** What can be done with a transfer in its state. */
function Actions({ transfer, onChange }: { readonly transfer: Transfer; readonly onChange: (now: Transfer) => void }) {
  const api = useApi();
  const { id, state, cost, deleted, files } = transfer;
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState<"cancel" | "delete">();
  const [error, setError] = useState<unknown>();
  const act = async (action: () => Promise<unknown>) => {
    setBusy(true);
    setError(undefined);
    setAsked(undefined);
    await action().catch(setError);
    setBusy(false);
  };
  const download = async () => {
    const response = await api.request(`${transferPath(id)}/prompt.zip`);
    save(`prompt-${id}.zip`, await response.arrayBuffer(), "application/zip");
  };
  const change = async (action: () => Promise<Transfer>) => onChange(await action());
  return (
    <>
      {error !== undefined && <Problem error={error} />}
      <div class="buttons">
        {files.length > 0 && deleted === null && (
          <>
            <Button kind="primary" busy={busy} onClick={() => act(download)}>
              Download the PEFT folder (zip)
            </Button>
            <a class="button" href={`#/playground/${id}`}>
              Try it
            </a>
          </>
        )}
        {cost === null && state !== "cancelling" && !asked && (
          <Button kind="danger" busy={busy} onClick={() => setAsked("cancel")}>
            Cancel the transfer …
          </Button>
        )}
        {cost !== null && deleted === null && !asked && (
          <Button kind="danger" busy={busy} onClick={() => setAsked("delete")}>
            Delete …
          </Button>
        )}
      </div>
      {asked === "cancel" && (
        <Sure
          text="It costs the device seconds that were computed until now, at most what was set aside."
          label="Cancel it"
          onSure={() => act(() => change(() => api.cancel(id)))}
          onNot={() => setAsked(undefined)}
        />
      )}
      {asked === "delete" && (
        <Sure
          text="Its prompt and files are deleted. What it cost, and what it released of the data set, stays counted."
          label="Delete it"
          onSure={() => act(() => change(() => api.remove(id)))}
          onNot={() => setAsked(undefined)}
        />
      )}
      {deleted !== null && <p class="quiet">Its files were deleted on {new Date(deleted).toLocaleString()}.</p>}
    </>
  );
}

function Sure({
  text,
  label,
  onSure,
  onNot,
}: {
  readonly text: string;
  readonly label: string;
  readonly onSure: () => void;
  readonly onNot: () => void;
}) {
  return (
    <Message kind="warning">
      <p>{text}</p>
      <div class="buttons">
        <Button kind="danger" onClick={onSure}>
          {label}
        </Button>
        <Button onClick={onNot}>No</Button>
      </div>
    </Message>
  );
}

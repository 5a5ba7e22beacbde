import { useState } from "preact/hooks";
import { money } from "../../../client/words.ts";
import { states, type Transfer } from "../../../shared/protocol/transfer.ts";
import { useApi } from "../../shell/session.ts";
import { StateBadge } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { SelectField } from "../../ui/field.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Nothing, Problem } from "../../ui/message.tsx";
import { Table } from "../../ui/table.tsx";

const PAGE = "25";

/** The tenant's transfers, newest first, a page at a time. */
export function TransferList() {
  const api = useApi();
  const [state, setState] = useState("");
  const [more, setMore] = useState<{ readonly transfers: readonly Transfer[]; readonly cursor: string | null }>();
  const [error, setError] = useState<unknown>();
  const query = { limit: PAGE, ...(state !== "" && { state }) };
  const loading = useLoading(async () => {
    const page = await api.transfers(query);
    setMore(undefined);
    return page;
  }, [api, state]);
  const next = async (cursor: string) => {
    try {
      const page = await api.transfers({ ...query, cursor });
      setMore((before) => ({ transfers: [...(before?.transfers ?? []), ...page.transfers], cursor: page.cursor }));
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <>
      <div class="buttons">
        <a class="button primary" href="#/submit">
          Submit a prompt
        </a>
        <Button onClick={loading.reload}>Load again</Button>
      </div>
      <SelectField
        label="State"
        value={state}
        onValue={setState}
        choices={[["", "all"], ...states.map((each) => [each, each] as const)]}
      />
      <Loaded of={loading}>
        {(first) => {
          const all = [...first.transfers, ...(more?.transfers ?? [])];
          const cursor = more ? more.cursor : first.cursor;
          return (
            <>
              {all.length === 0 ? <NoTransfers isFiltered={state !== ""} /> : <TransferTable of={all} />}
              {error !== undefined && <Problem error={error} />}
              {cursor !== null && <Button onClick={() => next(cursor)}>Older ones</Button>}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function NoTransfers({ isFiltered }: { readonly isFiltered: boolean }) {
  return (
    <Nothing>
      {isFiltered ? (
        <p>No transfer is in this state.</p>
      ) : (
        <p>
          Nothing was submitted yet. Tune a prompt on a student, then <a href="#/submit">submit it</a>.
        </p>
      )}
    </Nothing>
  );
}

function TransferTable({ of: transfers }: { readonly of: readonly Transfer[] }) {
  return (
    <Table
      caption="Transfers"
      columns={[
        { title: "Transfer" },
        { title: "State" },
        { title: "Submitted" },
        { title: "Student" },
        { title: "Data set" },
        { title: "Paid", isNumber: true },
        { title: "Progress" },
      ]}
      rows={transfers.map((transfer) => ({
        key: transfer.id,
        cells: [
          <a key="link" href={`#/transfers/${transfer.id}`}>
            {transfer.name ?? <code>{transfer.id}</code>}
          </a>,
          <StateBadge key="state" state={transfer.state} />,
          new Date(transfer.created).toLocaleString(),
          transfer.student,
          transfer.options.dataset,
          transfer.cost ? money(transfer.cost.micros, transfer.rate.currency) : "–",
          transfer.progress && !transfer.cost ? `${transfer.progress.done} of ${transfer.progress.total}` : "",
        ],
      }))}
    />
  );
}

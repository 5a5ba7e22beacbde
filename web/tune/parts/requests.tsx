import { bytes } from "../../../client/words.ts";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import type { RequestRecord } from "../worker/messages.ts";

/** Every request that the page and its threads have made, by the platform's own records, not by what this program says of itself. */
export function Requests({
  requests,
  since,
}: {
  readonly requests: readonly RequestRecord[];
  readonly since: number | undefined;
}) {
  const shown = since === undefined ? [] : requests.filter(({ time }) => time >= since).sort((a, b) => a.time - b.time);
  return (
    <Panel title="Requests since the rows were loaded">
      {since === undefined && <p>No rows are loaded.</p>}
      {since !== undefined && (
        <p aria-live="polite">
          {shown.length === 0 ? "None." : `${shown.length}, as the browser has recorded them.`} The policy of this page
          lets it reach no other address than its own, and the thread that has the rows none at all. What the browser
          itself says: its developer tools, under Network.
        </p>
      )}
      {shown.length > 0 && (
        <Table
          caption="Requests"
          columns={[{ title: "Time" }, { title: "From" }, { title: "Address" }, { title: "Came", isNumber: true }]}
          rows={shown.map(({ time, thread, url, received }) => ({
            key: `${time} ${url}`,
            cells: [
              new Date(time).toLocaleTimeString(),
              thread,
              <span key="url" class="wrap">
                {url}
              </span>,
              bytes(received),
            ],
          }))}
        />
      )}
    </Panel>
  );
}

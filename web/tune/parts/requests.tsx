import { bytes } from "../../../client/words.ts";
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
    <section aria-labelledby="tune-requests" class="tune-requests">
      <h3 id="tune-requests">Requests since the rows were loaded</h3>
      {since === undefined && <p>No rows are loaded.</p>}
      {since !== undefined && (
        <p aria-live="polite">
          {shown.length === 0 ? "None." : `${shown.length}, as the browser has recorded them.`} The policy of this page
          lets it reach no other address than the provider's. What the browser itself says: its developer tools, under
          Network.
        </p>
      )}
      {shown.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">From</th>
              <th scope="col">Address</th>
              <th scope="col">Came</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ time, thread, url, received }) => (
              <tr key={`${time} ${url}`}>
                <td>{new Date(time).toLocaleTimeString()}</td>
                <td>{thread}</td>
                <td class="break">{url}</td>
                <td>{bytes(received)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

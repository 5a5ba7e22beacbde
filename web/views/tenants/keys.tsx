import { useState } from "preact/hooks";
import type { Api } from "../../../client/api/api.ts";
import { sending } from "../../../client/api/transport.ts";
import { type KeyRecord, keyListSchema, newKeySchema } from "../../../shared/protocol/administration.ts";
import { Badge } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { CheckField, TextField } from "../../ui/field.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Message, Nothing, Problem } from "../../ui/message.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";

const SCOPES: readonly (readonly [name: string, what: string])[] = [
  ["read", "see students, transfers and budgets, and download"],
  ["submit", "submit and cancel transfers, and name prompts"],
  ["infer", "ask models"],
  ["admin", "make and revoke this tenant's keys"],
];

/** A tenant's keys: made, scoped, named and revoked. */
export function Keys({ desk, path }: { readonly desk: Api; readonly path: string }) {
  const loading = useLoading(async () => (await desk.json(`${path}/keys`, keyListSchema)).keys, [desk, path]);
  const [error, setError] = useState<unknown>();
  const revoke = async (id: string) => {
    setError(undefined);
    try {
      await desk.request(`${path}/keys/${encodeURIComponent(id)}`, { method: "DELETE" });
      loading.reload();
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <Panel title="Keys">
      {error !== undefined && <Problem error={error} />}
      <Loaded of={loading}>
        {(keys) =>
          keys.length === 0 ? (
            <Nothing>
              <p>It has no key yet, so nobody can use the account.</p>
            </Nothing>
          ) : (
            <KeyTable keys={keys} onRevoke={revoke} />
          )
        }
      </Loaded>
      <NewKey desk={desk} path={path} onMade={loading.reload} />
    </Panel>
  );
}

function KeyTable({
  keys,
  onRevoke,
}: {
  readonly keys: readonly KeyRecord[];
  readonly onRevoke: (id: string) => void;
}) {
  const [asked, setAsked] = useState<string>();
  const time = (text: string | null, none: string) => (text === null ? none : new Date(text).toLocaleString());
  return (
    <Table
      caption="Keys"
      columns={[
        { title: "Name" },
        { title: "May" },
        { title: "Made" },
        { title: "Last used" },
        { title: "Expires" },
        { title: "Revoke" },
      ]}
      rows={keys.map(({ id, name, scopes, created, lastUsed, expires, revoked }) => ({
        key: id,
        cells: [
          name,
          scopes.join(", "),
          time(created, ""),
          time(lastUsed, "never"),
          time(expires, "never"),
          revoked !== null ? (
            <Badge key="revoked" tone="bad" text="revoked" />
          ) : (
            <Button
              key="revoke"
              small
              kind="danger"
              onClick={() => {
                setAsked(asked === id ? undefined : id);
                if (asked === id) onRevoke(id);
              }}
            >
              {asked === id ? `Really revoke ${name}` : `Revoke ${name}`}
            </Button>
          ),
        ],
      }))}
    />
  );
}

function NewKey({ desk, path, onMade }: { readonly desk: Api; readonly path: string; readonly onMade: () => void }) {
  const [name, setName] = useState("");
  const [days, setDays] = useState("");
  const [scopes, setScopes] = useState<readonly string[]>(["read", "submit"]);
  const [made, setMade] = useState<string>();
  const [error, setError] = useState<unknown>();
  const make = async () => {
    setError(undefined);
    setMade(undefined);
    const body = { name: name.trim(), scopes, ...(days.trim() !== "" && { days: Number(days) }) };
    try {
      const { key } = await desk.json(`${path}/keys`, newKeySchema, sending("POST", body));
      setMade(key);
      setName("");
      onMade();
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <h3>A new key</h3>
      <div class="fields">
        <TextField label="Key's name" value={name} onValue={setName} required hint="What it is for." />
        <TextField
          label="Days"
          value={days}
          onValue={setDays}
          isNumber
          hint="After so many it expires; empty: never."
        />
      </div>
      <fieldset class="plain">
        <legend>What it may</legend>
        {SCOPES.map(([scope, what]) => (
          <CheckField
            key={scope}
            checked={scopes.includes(scope)}
            onChecked={(on) => setScopes(on ? [...scopes, scope] : scopes.filter((each) => each !== scope))}
          >
            {scope}: {what}
          </CheckField>
        ))}
      </fieldset>
      {error !== undefined && <Problem error={error} />}
      {made !== undefined && (
        <div role="status">
          <Message kind="good" title="The key; it is shown nowhere else, and never again">
            <p class="secret">{made}</p>
          </Message>
        </div>
      )}
      <Button type="submit" disabled={name.trim() === "" || scopes.length === 0}>
        Make the key
      </Button>
    </form>
  );
}

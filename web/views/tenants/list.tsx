import { useState } from "preact/hooks";
import { z } from "zod";
import type { Api } from "../../../client/api/api.ts";
import { sending } from "../../../client/api/transport.ts";
import { tenantSchema } from "../../../shared/protocol/administration.ts";
import { Badge } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { TextField } from "../../ui/field.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Nothing, Problem } from "../../ui/message.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Table } from "../../ui/table.tsx";
import { BillPanel } from "./bill.tsx";

/** All tenants with what each has left, and a way to open another. */
export function TenantList({ desk, onPick }: { readonly desk: Api; readonly onPick: (id: string) => void }) {
  const loading = useLoading(
    async () => (await desk.json("/v1/admin/tenants", z.object({ tenants: z.array(tenantSchema) }))).tenants,
    [desk],
  );
  return (
    <>
      <Panel title="Tenants">
        <Loaded of={loading}>
          {(tenants) =>
            tenants.length === 0 ? (
              <Nothing>
                <p>There is no tenant yet.</p>
              </Nothing>
            ) : (
              <Table
                caption="Tenants"
                columns={[
                  { title: "Name" },
                  { title: "Id" },
                  { title: "Money left", isNumber: true },
                  { title: "Device seconds left", isNumber: true },
                  { title: "Since" },
                ]}
                rows={tenants.map(({ id, name, suspended, created, standing }) => ({
                  key: id,
                  cells: [
                    <>
                      <Button small onClick={() => onPick(id)}>
                        {name}
                      </Button>{" "}
                      {suspended && <Badge tone="bad" text="suspended" />}
                    </>,
                    <code key="id">{id}</code>,
                    `${standing.money.left.toFixed(2)} ${standing.currency}`,
                    standing.deviceSeconds.left.toLocaleString("en"),
                    new Date(created).toLocaleDateString(),
                  ],
                }))}
              />
            )
          }
        </Loaded>
        <NewTenant desk={desk} onMade={loading.reload} />
      </Panel>
      <BillPanel desk={desk} path="/v1/admin/usage" />
    </>
  );
}

function NewTenant({ desk, onMade }: { readonly desk: Api; readonly onMade: () => void }) {
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const make = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await desk.json("/v1/admin/tenants", tenantSchema, sending("POST", { name: name.trim() }));
      setName("");
      onMade();
    } catch (cause) {
      setError(cause);
    }
    setBusy(false);
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <TextField
        label="New tenant"
        value={name}
        onValue={setName}
        required
        hint="A name; its limits begin small, and can be raised."
      />
      {error !== undefined && <Problem error={error} />}
      <Button type="submit" busy={busy} disabled={name.trim() === ""}>
        Open an account
      </Button>
    </form>
  );
}

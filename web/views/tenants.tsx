import { useState } from "preact/hooks";
import { z } from "zod";
import type { Api } from "../../client/api/api.ts";
import { keyListSchema, tenantSchema } from "../../shared/protocol/administration.ts";
import { parseApiKey } from "../../shared/protocol/api-key.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { apiWith, useSession } from "../shell/session.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { Problem } from "../ui/message.tsx";
import { BillPanel } from "./tenants/bill.tsx";
import { DaysPanel } from "./tenants/days.tsx";
import { Keys } from "./tenants/keys.tsx";
import { TenantList } from "./tenants/list.tsx";
import { OneTenant } from "./tenants/one.tsx";

const tenantsSchema = z.object({ tenants: z.array(tenantSchema) });

/** The provider's desk, or a tenant's own: what opens it stays in this view's memory and goes with it. */
export default function Tenants() {
  const [desk, setDesk] = useState<Api>();
  const [picked, setPicked] = useState<string>();
  if (!desk) return <Secret onDesk={setDesk} />;
  const own = parseApiKey(desk.connection.key)?.tenant;
  return (
    <>
      <div class="buttons">
        {picked !== undefined && <Button onClick={() => setPicked(undefined)}>All tenants</Button>}
        <Button
          onClick={() => {
            setDesk(undefined);
            setPicked(undefined);
          }}
        >
          {own === undefined ? "Forget the secret" : "Forget the key"}
        </Button>
      </div>
      {own !== undefined ? (
        <OwnTenant desk={desk} id={own} />
      ) : picked === undefined ? (
        <TenantList desk={desk} onPick={setPicked} />
      ) : (
        <OneTenant key={picked} desk={desk} id={picked} />
      )}
    </>
  );
}

/** What a tenant's admin key may: the keys and the usage of its own tenant. */
function OwnTenant({ desk, id }: { readonly desk: Api; readonly id: string }) {
  const path = `/v1/admin/tenants/${id}`;
  return (
    <>
      <p>
        Your own tenant, <code>{id}</code>. Its limits are the provider's to set; <a href="#/budgets">Budgets</a> shows
        them.
      </p>
      <Keys desk={desk} path={path} />
      <DaysPanel desk={desk} path={`${path}/usage/days`} />
      <BillPanel desk={desk} path={`${path}/usage`} />
    </>
  );
}

function Secret({ onDesk }: { readonly onDesk: (desk: Api) => void }) {
  const { provider, api } = useSession();
  const [secret, setSecret] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const open = async (given: string) => {
    setBusy(true);
    setError(undefined);
    const desk = apiWith(given);
    const own = parseApiKey(given)?.tenant;
    try {
      if (own === undefined && given.startsWith("sp_")) {
        throw new ProblemError(
          "This is no whole API key",
          "It begins as one, but more or less follows than should. Copy all of it.",
        );
      }
      if (own === undefined) await desk.json("/v1/admin/tenants", tenantsSchema);
      else await desk.json(`/v1/admin/tenants/${own}/keys`, keyListSchema);
      onDesk(desk);
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  return (
    <form
      class="panel"
      onSubmit={(event) => {
        event.preventDefault();
        void open(secret.trim());
      }}
    >
      <h2>The admin secret</h2>
      <p>
        This view is for whoever runs the provider at {provider.url.host}. The secret opens every tenant; it is
        forgotten when you leave the view. A key with the scope “admin” opens the keys and the usage of its own tenant.
      </p>
      <TextField label="Admin secret, or an admin key" value={secret} onValue={setSecret} isSecret required />
      {error !== undefined && <Problem error={error} />}
      <div class="buttons">
        <Button type="submit" kind="primary" busy={busy} disabled={secret.trim() === ""}>
          Open
        </Button>
        {api && (
          <Button disabled={busy} onClick={() => open(api.connection.key)}>
            Use the key that I signed in with
          </Button>
        )}
      </div>
    </form>
  );
}

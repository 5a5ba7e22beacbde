import { useState } from "preact/hooks";
import { z } from "zod";
import type { Api } from "../../client/api/api.ts";
import { tenantSchema } from "../../shared/protocol/administration.ts";
import { apiWith, useSession } from "../shell/session.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { Problem } from "../ui/message.tsx";
import { TenantList } from "./tenants/list.tsx";
import { OneTenant } from "./tenants/one.tsx";

const tenantsSchema = z.object({ tenants: z.array(tenantSchema) });

/** The provider's desk: it asks for the admin secret, which stays in this view's memory and goes with it. */
export default function Tenants() {
  const [desk, setDesk] = useState<Api>();
  const [picked, setPicked] = useState<string>();
  if (!desk) return <Secret onDesk={setDesk} />;
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
          Forget the secret
        </Button>
      </div>
      {picked === undefined ? (
        <TenantList desk={desk} onPick={setPicked} />
      ) : (
        <OneTenant key={picked} desk={desk} id={picked} />
      )}
    </>
  );
}

function Secret({ onDesk }: { readonly onDesk: (desk: Api) => void }) {
  const { provider } = useSession();
  const [secret, setSecret] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const open = async () => {
    setBusy(true);
    setError(undefined);
    const desk = apiWith(secret.trim());
    try {
      await desk.json("/v1/admin/tenants", tenantsSchema);
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
        void open();
      }}
    >
      <h2>The admin secret</h2>
      <p>
        This view is for whoever runs the provider at {provider.url.host}. The secret opens every tenant; it is
        forgotten when you leave the view.
      </p>
      <TextField label="Admin secret" value={secret} onValue={setSecret} isSecret required />
      {error !== undefined && <Problem error={error} />}
      <div class="buttons">
        <Button type="submit" kind="primary" busy={busy} disabled={secret.trim() === ""}>
          Open
        </Button>
      </div>
    </form>
  );
}

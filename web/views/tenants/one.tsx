import { useState } from "preact/hooks";
import type { Api } from "../../../client/api/api.ts";
import { sending } from "../../../client/api/transport.ts";
import {
  limitedTenantSchema,
  MICROS,
  type TenantRecord,
  tenantSchema,
} from "../../../shared/protocol/administration.ts";
import { Button } from "../../ui/button.tsx";
import { TextField } from "../../ui/field.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Message, Problem } from "../../ui/message.tsx";
import { Facts, Panel } from "../../ui/panel.tsx";
import { BillPanel } from "./bill.tsx";
import { DaysPanel } from "./days.tsx";
import { Keys } from "./keys.tsx";

/** One tenant: its keys, limits and usage. */
export function OneTenant({ desk, id }: { readonly desk: Api; readonly id: string }) {
  const path = `/v1/admin/tenants/${encodeURIComponent(id)}`;
  const loading = useLoading(() => desk.json(path, tenantSchema), [desk, path]);
  return (
    <>
      <Loaded of={loading}>
        {(tenant) => (
          <>
            <About tenant={tenant} desk={desk} path={path} onChange={loading.reload} />
            <LimitsForm
              key={JSON.stringify(tenant.limits)}
              tenant={tenant}
              desk={desk}
              path={path}
              onChange={loading.reload}
            />
          </>
        )}
      </Loaded>
      <Keys desk={desk} path={path} />
      <DaysPanel desk={desk} path={`${path}/usage/days`} />
      <BillPanel desk={desk} path={`${path}/usage`} />
    </>
  );
}

interface Part {
  readonly tenant: TenantRecord;
  readonly desk: Api;
  readonly path: string;
  readonly onChange: () => void;
}

function About({ tenant: { id, name, created, suspended }, desk, path, onChange }: Part) {
  const [error, setError] = useState<unknown>();
  const toggle = async () => {
    setError(undefined);
    try {
      await desk.json(path, tenantSchema, sending("PATCH", { suspended: !suspended }));
      onChange();
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <Panel title={name}>
      <Facts
        of={[
          ["Id", id],
          ["Since", new Date(created).toLocaleString()],
          ["State", suspended ? "suspended: its keys open nothing" : "open"],
        ]}
      />
      {error !== undefined && <Problem error={error} />}
      <Button kind={suspended ? "primary" : "danger"} onClick={toggle}>
        {suspended ? "Resume" : "Suspend"}
      </Button>
    </Panel>
  );
}

const LIMITS = [
  ["deviceSeconds", "Device seconds"],
  ["virtualTokens", "Virtual tokens"],
  ["concurrent", "Transfers at one time"],
  ["daily", "Transfers a day"],
  ["tokens", "Tokens of models"],
  ["dailyTokens", "Tokens of models a day"],
] as const;

function LimitsForm({ tenant: { limits, standing }, desk, path, onChange }: Part) {
  const [typed, setTyped] = useState<Readonly<Record<string, string>>>({
    money: String(limits.micros / MICROS),
    ...Object.fromEntries(LIMITS.map(([name]) => [name, limits[name] === undefined ? "" : String(limits[name])])),
    epsilon: limits.privacy === null ? "" : String(limits.privacy.epsilon),
    delta: limits.privacy === null ? "" : String(limits.privacy.delta),
  });
  const [below, setBelow] = useState<readonly string[]>([]);
  const [error, setError] = useState<unknown>();
  const set = (name: string) => (value: string) => setTyped({ ...typed, [name]: value });
  const save = async () => {
    setError(undefined);
    const given = ["money", ...LIMITS.map(([name]) => name)].flatMap((name) =>
      typed[name]!.trim() === "" ? [] : [[name, Number(typed[name])] as const],
    );
    const { epsilon, delta } = typed;
    const privacy = epsilon!.trim() === "" ? null : { epsilon: Number(epsilon), delta: Number(delta) };
    try {
      const body = { ...Object.fromEntries(given), privacy };
      const tenant = await desk.json(`${path}/limits`, limitedTenantSchema, sending("PATCH", body));
      setBelow(tenant.below.map(({ message }) => message));
      if (tenant.below.length === 0) onChange();
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <Panel title="Limits">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <div class="fields">
          <TextField label={`Money, ${standing.currency}`} value={typed.money!} onValue={set("money")} isNumber />
          {LIMITS.map(([name, label]) => (
            <TextField key={name} label={label} value={typed[name]!} onValue={set(name)} isNumber />
          ))}
          <TextField
            label="Privacy: ε of a data set"
            value={typed.epsilon!}
            onValue={set("epsilon")}
            isNumber
            hint="Empty: not limited."
          />
          <TextField label="Privacy: at δ" value={typed.delta!} onValue={set("delta")} isNumber />
        </div>
        {error !== undefined && <Problem error={error} />}
        {below.map((message) => (
          <Message key={message} kind="warning">
            <p>{message}</p>
          </Message>
        ))}
        <Button type="submit">Set the limits</Button>
      </form>
    </Panel>
  );
}

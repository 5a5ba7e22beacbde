import { money } from "../../../client/words.ts";
import type { Usage } from "../../../shared/protocol/metering.ts";
import { useApi } from "../../shell/session.ts";
import { Button } from "../../ui/button.tsx";
import { Chart } from "../../ui/chart.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Nothing } from "../../ui/message.tsx";
import { Panel } from "../../ui/panel.tsx";
import { save } from "../../ui/save.ts";

/** Tokens of requests to models, by day, of the last month. */
export function UsageByDay() {
  const api = useApi();
  const loading = useLoading(() => api.usage(), [api]);
  const csv = async () => save("usage.csv", await (await api.request("/v1/usage?format=csv")).text(), "text/csv");
  return (
    <Panel
      title="Requests to models, by day"
      actions={
        <Button small onClick={csv}>
          Save as CSV
        </Button>
      }
    >
      <Loaded of={loading}>{(usage) => <Shown usage={usage} />}</Loaded>
    </Panel>
  );
}

function Shown({ usage: { rows, currency } }: { readonly usage: Usage }) {
  if (rows.length === 0) {
    return (
      <Nothing>
        <p>
          No model was asked in the last month. The <a href="#/playground">playground</a> asks one.
        </p>
      </Nothing>
    );
  }
  const days = [...Map.groupBy(rows, ({ day }) => day)];
  const sum = (field: "promptTokens" | "completionTokens" | "micros" | "requests") =>
    days.map(([, own]) => own.reduce((total, row) => total + row[field], 0));
  const paid = rows.reduce((total, { micros }) => total + micros, 0);
  return (
    <>
      <p>
        {sum("requests").reduce((a, b) => a + b, 0)} requests, {money(paid, currency)}.
      </p>
      <Chart
        title="Tokens a day (UTC)"
        x={{ name: "day", values: days.map(([day]) => day) }}
        bars
        from={0}
        series={[
          {
            name: "tokens",
            values: sum("promptTokens").map((tokens, index) => tokens + sum("completionTokens")[index]!),
            colour: "accent",
          },
        ]}
      />
    </>
  );
}

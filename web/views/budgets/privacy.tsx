import { useEffect, useState } from "preact/hooks";
import { count, short, shortUp } from "../../../client/words.ts";
import type { Budget } from "../../../shared/protocol/budget.ts";
import { useApi } from "../../shell/session.ts";
import { Chart } from "../../ui/chart.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Message, Nothing } from "../../ui/message.tsx";
import { Panel } from "../../ui/panel.tsx";
import { epsilonCurve, type Point } from "./curve.ts";

type Privacy = Budget["privacy"];
type Dataset = Privacy["datasets"][number];

/** What was released of each data set, as a curve with its limit. */
export function PrivacyBudgets({ of: { limit, datasets } }: { readonly of: Privacy }) {
  if (datasets.length === 0) {
    return (
      <Panel title="Privacy">
        <Nothing>
          <p>No prompt was released yet, so no privacy is spent. {limitText(limit)}</p>
        </Nothing>
      </Panel>
    );
  }
  return datasets.map((dataset) => <DatasetPrivacy key={dataset.dataset} of={dataset} limit={limit} />);
}

const limitText = (limit: Privacy["limit"]) =>
  limit ? `The limit of each data set is ε ${limit.epsilon} at δ ${short(limit.delta)}.` : "No limit is set.";

function DatasetPrivacy({
  of: { dataset, prompts, epsilon, delta, unit },
  limit,
}: {
  readonly of: Dataset;
  readonly limit: Privacy["limit"];
}) {
  const api = useApi();
  const loading = useLoading(() => api.releases(dataset), [api, dataset, prompts]);
  const { value: releases } = loading;
  const [points, setPoints] = useState<readonly Point[]>([]);
  useEffect(() => {
    if (!releases) return;
    const stop = new AbortController();
    setPoints([]);
    void epsilonCurve(releases, delta, (point) => setPoints((before) => [...before, point]), stop.signal);
    return () => stop.abort();
  }, [releases, delta]);
  const plain = releases?.filter(({ privacy }) => privacy === null).length ?? 0;
  const more = points.find((point) => point.releases === prompts + 1)?.epsilon;
  return (
    <Panel title={`Privacy of ${dataset}`}>
      <p>
        {count(prompts, "prompt")} released
        {epsilon === null
          ? `, ${plain} of them tuned without differential privacy: there is no guarantee for this data set.`
          : `: together ε ${shortUp(epsilon)} at δ ${short(delta)} for ${unit ?? "one row"}.`}{" "}
        {limitText(limit)}
      </p>
      {more != null && epsilon !== null && (
        <p>
          One more release like the last one would make it ε {shortUp(more)}, {shortUp(more - epsilon)} more.
        </p>
      )}
      {more != null && limit && more > limit.epsilon && (
        <Message kind="warning">
          <p>That passes the limit: it would be refused. A prompt tuned with a smaller ε may still fit.</p>
        </Message>
      )}
      <Loaded of={loading}>
        {() => (
          <Chart
            title={`ε of ${dataset} over its releases, at δ ${short(delta)}`}
            x={{ name: "releases", values: points.map(({ releases: at }) => at) }}
            from={0}
            series={[
              { name: "ε, upper bound", values: points.map((point) => point.epsilon), colour: "accent" },
              ...(limit
                ? [{ name: "limit", values: points.map(() => limit.epsilon), colour: "bad" as const, isDashed: true }]
                : []),
            ]}
            shown={(value) => shortUp(value)}
          />
        )}
      </Loaded>
    </Panel>
  );
}

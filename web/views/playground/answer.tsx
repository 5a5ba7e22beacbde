import { useEffect, useState } from "preact/hooks";
import type { Api } from "../../../client/api/api.ts";
import type { RemotePrediction } from "../../../client/api/inference.ts";
import { percent } from "../../../client/words.ts";
import { Problem } from "../../ui/message.tsx";
import { Bars } from "../../ui/progress.tsx";
import type { Asked } from "./request.ts";

/** What a model answers, as it comes; whoever asks again or leaves stops it, at the provider too. */
export function Answer({
  api,
  asked,
  second = false,
}: {
  readonly api: Api;
  readonly asked: Asked;
  readonly second?: boolean;
}) {
  const [text, setText] = useState("");
  const [prediction, setPrediction] = useState<RemotePrediction>();
  const [error, setError] = useState<unknown>();
  const [end, setEnd] = useState<string>();
  useEffect(() => {
    const stop = new AbortController();
    const ask = async () => {
      if (asked.kind === "classify") {
        const [first] = await api.classify(asked.model, [asked.text], { signal: stop.signal, task: asked.task });
        setPrediction(first);
        setEnd("");
      } else {
        for await (const event of api.complete(asked.options, stop)) {
          if (event.kind === "text") setText((before) => before + event.text);
          else setEnd(event.reason === "length" ? "It ended at the most tokens that it may have." : "");
        }
      }
    };
    ask().catch((cause) => stop.signal.aborted || setError(cause));
    return () => stop.abort();
  }, [api, asked]);
  if (error !== undefined) return <Problem error={error} />;
  return (
    <div aria-busy={end === undefined}>
      {prediction ? (
        <>
          <p>
            <strong>{prediction.label}</strong>
          </p>
          <Bars second={second} of={barsOf(prediction)} />
        </>
      ) : (
        <div class="answer" aria-live="polite">
          {text}
          {end === undefined && text === "" && <span class="quiet">…</span>}
        </div>
      )}
      {end && <p class="quiet small">{end}</p>}
    </div>
  );
}

const barsOf = ({ probabilities }: RemotePrediction) =>
  Object.entries(probabilities)
    .sort(([, a], [, b]) => b - a)
    .map(([name, share]) => ({ name, share, text: percent(share) }));

import { useState } from "preact/hooks";
import type { ServedModel } from "../../shared/protocol/served-model.ts";
import { useApi, useSession } from "../shell/session.ts";
import type { ViewProps } from "../shell/view-props.ts";
import { Button } from "../ui/button.tsx";
import { Copy } from "../ui/copy.tsx";
import { SelectField, TextArea } from "../ui/field.tsx";
import { Loaded, useLoading } from "../ui/loaded.tsx";
import { Message, Nothing } from "../ui/message.tsx";
import { Panel } from "../ui/panel.tsx";
import { Answer } from "./playground/answer.tsx";
import { type Asked, askedOf, bareOf, examplesOf } from "./playground/request.ts";

/** Asks a transferred prompt, and the bare target beside it. */
export default function Playground({ rest: [wanted] }: ViewProps) {
  const api = useApi();
  const loading = useLoading(() => api.models(), [api]);
  return (
    <Loaded of={loading}>
      {(models) =>
        models.length === 0 ? (
          <Nothing>
            <p>
              The provider serves no model, or none of your prompts is ready. Transfers that succeeded are listed here.
            </p>
          </Nothing>
        ) : (
          <Ask models={models} wanted={wanted} />
        )
      }
    </Loaded>
  );
}

/** What was asked last. */
interface Question {
  readonly asked: Asked;
  readonly bare: Asked | undefined;
  readonly turn: number;
}

function Ask({ models, wanted }: { readonly models: readonly ServedModel[]; readonly wanted: string | undefined }) {
  const api = useApi();
  const { provider } = useSession();
  const first =
    models.find(({ id }) => wanted !== undefined && id.endsWith(`:${wanted}`)) ??
    models.find(({ parent }) => parent) ??
    models[0]!;
  const [name, setName] = useState(first.id);
  const [text, setText] = useState("");
  const [question, setQuestion] = useState<Question>();
  const model = models.find(({ id }) => id === name) ?? first;
  const ask = () => {
    setQuestion({
      asked: askedOf(model, text),
      bare: bareOf(model, text),
      turn: (question?.turn ?? 0) + 1,
    });
  };
  const examples = examplesOf(question?.asked ?? askedOf(model, text), provider.url.origin);
  return (
    <>
      <Message kind="warning" title="The provider sees what you write here">
        <p>
          Only tuning is private. A text that is sent to be answered is shown to the provider, and so is the answer.
        </p>
      </Message>
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault();
          ask();
        }}
      >
        <SelectField
          label="Prompt or model"
          value={name}
          onValue={(value) => {
            setName(value);
            setQuestion(undefined);
          }}
          choices={models.map(({ id, task }) => [id, task ? `${id} (${task.name})` : `${id}, without a prompt`])}
        />
        <TextArea
          label="Text"
          value={text}
          onValue={setText}
          required
          hint={model.task ? "It is put into the task's template." : "It is continued as it stands."}
        />
        <div class="buttons">
          <Button type="submit" kind="primary" disabled={text.trim() === ""}>
            Ask
          </Button>
          {question && <Button onClick={() => setQuestion(undefined)}>Stop, and clear</Button>}
        </div>
      </form>
      {question && (
        <div class="two">
          <Panel title={model.task ? "With the prompt" : "Answer"}>
            <Answer key={question.turn} api={api} asked={question.asked} />
          </Panel>
          {question.bare && (
            <Panel title="The bare target">
              <Answer key={question.turn} api={api} asked={question.bare} second />
              <p class="quiet small">The same text in the task's template, without the prompt.</p>
            </Panel>
          )}
        </div>
      )}
      <Panel title="As code">
        <p class="quiet small">The key is read from SOFTPOST_KEY; it stands in neither.</p>
        <Copy label="curl" text={examples.curl} />
        <Copy label="openai code" text={examples.code} />
      </Panel>
    </>
  );
}

import { useState } from "preact/hooks";
import type { Api } from "../../../client/api/api.ts";
import { bytes } from "../../../client/words.ts";
import { type Student, totalBytes } from "../../../shared/protocol/catalogue.ts";
import { Badge } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { Loaded, useLoading } from "../../ui/loaded.tsx";
import { Nothing, Problem } from "../../ui/message.tsx";
import { Progress } from "../../ui/progress.tsx";
import type { Threads } from "../use-threads.ts";
import type { StudentFiles } from "../worker/messages.ts";

/** A student that is ready. */
export interface OpenStudent {
  readonly student: Student;
  readonly files: StudentFiles;
  readonly positions: number;
}

/** Lists the provider's students; the one that is picked is downloaded, once, and opened. */
export function StudentPicker({
  api,
  threads,
  picked,
  onPicked,
}: {
  readonly api: Api;
  readonly threads: Threads;
  readonly picked: OpenStudent | undefined;
  readonly onPicked: (student: OpenStudent | undefined) => void;
}) {
  const students = useLoading(async () => (await api.students()).filter(({ retired }) => !retired), [api]);
  const kept = useLoading(() => threads.tuning.call("keptStudents"), [threads.tuning]);
  const [busy, setBusy] = useState<{ readonly id: string; readonly done: number; readonly total: number }>();
  const [error, setError] = useState<unknown>();

  const pick = async (student: Student) => {
    const files = { id: student.id, digest: student.digest, files: student.files };
    const show = (done: number) => setBusy({ id: student.id, done, total: totalBytes(student.files) });
    setError(undefined);
    onPicked(undefined);
    show(0);
    threads.listen("downloads", (event) => event.kind === "progress" && show(event.done));
    try {
      await threads.downloads.download(api.connection, files);
      onPicked({ student, files, positions: (await threads.tuning.call("openStudent", files)).positions });
    } catch (cause) {
      setError(cause);
    }
    setBusy(undefined);
    kept.reload();
  };
  const drop = (student: Student) => threads.tuning.call("dropStudent", student.digest).then(kept.reload, setError);

  return (
    <Loaded of={students}>
      {(all) => (
        <>
          {all.length === 0 && <Nothing>The provider publishes no students yet.</Nothing>}
          {all.map((student) => {
            const isKept = kept.value?.includes(student.digest) ?? false;
            const isPicked = picked?.student.digest === student.digest;
            return (
              <div key={student.id} class="buttons">
                <Button
                  {...(isPicked && { kind: "primary" as const })}
                  disabled={busy !== undefined}
                  onClick={() => pick(student)}
                >
                  {student.id}
                </Button>
                <span>
                  for {student.target.id}, {bytes(totalBytes(student.files))}
                </span>
                {isPicked && <Badge tone="good" text="ready" />}
                {isKept && <Badge text="kept in this browser" />}
                {isKept && !isPicked && busy === undefined && (
                  <Button small onClick={() => drop(student)}>
                    Remove<span class="hidden"> {student.id} from this browser</span>
                  </Button>
                )}
              </div>
            );
          })}
          {busy && (
            <Progress
              label={`Download of ${busy.id}`}
              done={busy.done}
              total={busy.total}
              note={`${bytes(busy.done)} of ${bytes(busy.total)}`}
            />
          )}
          {error !== undefined && <Problem error={error} />}
        </>
      )}
    </Loaded>
  );
}

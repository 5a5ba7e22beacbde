import { useEffect, useState } from "preact/hooks";
import { bytes } from "../../../client/words.ts";
import type { Student } from "../../../shared/protocol/catalogue.ts";
import { type Shown, shownProblem, type TuneApi } from "../api.ts";
import type { Threads } from "../use-threads.ts";
import type { StudentFiles } from "../worker/messages.ts";
import { Problem } from "./problem.tsx";

const sizeOf = ({ files }: Student) => files.reduce((sum, { size }) => sum + size, 0);

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
  readonly api: TuneApi;
  readonly threads: Threads;
  readonly picked: OpenStudent | undefined;
  readonly onPicked: (student: OpenStudent | undefined) => void;
}) {
  const [students, setStudents] = useState<readonly Student[]>();
  const [kept, setKept] = useState<readonly string[]>([]);
  const [busy, setBusy] = useState<{ readonly id: string; readonly done: number; readonly total: number }>();
  const [problem, setProblem] = useState<Shown>();
  const refresh = () => threads.tuning.call("keptStudents").then(setKept);
  useEffect(() => {
    api.students().then(
      (all) => setStudents(all.filter(({ retired }) => !retired)),
      (error) => setProblem(shownProblem(error)),
    );
    refresh();
  }, [api]);

  const pick = async (student: Student) => {
    const files = { id: student.id, digest: student.digest, files: student.files };
    setProblem(undefined);
    onPicked(undefined);
    setBusy({ id: student.id, done: 0, total: sizeOf(student) });
    threads.listen("downloads", (event) => {
      if (event.kind === "progress") setBusy({ id: student.id, done: event.done, total: sizeOf(student) });
    });
    try {
      await threads.downloads.download(api.connection, files);
      const { positions } = await threads.tuning.call("openStudent", files);
      onPicked({ student, files, positions });
    } catch (error) {
      setProblem(shownProblem(error));
    }
    setBusy(undefined);
    await refresh();
  };

  if (students === undefined && !problem) return <p aria-busy="true">Asking the provider for its students …</p>;
  return (
    <>
      {students?.length === 0 && <p>The provider publishes no students yet.</p>}
      <ul class="tune-students">
        {students?.map((student) => (
          <li key={student.id}>
            <button
              type="button"
              aria-pressed={picked?.student.id === student.id}
              disabled={busy !== undefined}
              onClick={() => pick(student)}
            >
              {student.id}
            </button>{" "}
            <span>
              for {student.target.id}, {bytes(sizeOf(student))}
              {kept.includes(student.digest) ? ", kept in this browser" : ", downloaded once"}
            </span>{" "}
            {kept.includes(student.digest) && busy === undefined && picked?.student.id !== student.id && (
              <button
                type="button"
                class="quiet"
                onClick={() => threads.tuning.call("dropStudent", student.digest).then(refresh)}
              >
                Remove <span class="visually-hidden">{student.id} </span>from this browser
              </button>
            )}
          </li>
        ))}
      </ul>
      {busy && (
        <p>
          <progress aria-label={`Download of ${busy.id}`} max={busy.total} value={busy.done} /> {bytes(busy.done)} of{" "}
          {bytes(busy.total)}
        </p>
      )}
      <Problem problem={problem} />
    </>
  );
}

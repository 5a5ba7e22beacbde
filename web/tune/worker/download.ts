/** The thread that downloads students. It never has private rows; the thread that has them never downloads. */
import { sha256 } from "@noble/hashes/sha2.js";
import type { FileRecord } from "../../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import type { FromThread, StudentFiles } from "./messages.ts";
import { tellRequests } from "./requests.ts";

/** What is asked: the provider's address and key, and the student. */
export interface Download {
  readonly id: number;
  readonly url: string;
  readonly key: string;
  readonly student: StudentFiles;
}

const TITLE = "The download failed";
/** What is read at once of a file whose digest is taken. */
const PIECE = 4 * 2 ** 20;

const tell = (message: FromThread) => postMessage(message);

addEventListener("message", async ({ data }: MessageEvent<Download>) => {
  const { id, student } = data;
  try {
    // Two tabs that want the same student take turns; the second finds it complete.
    await navigator.locks.request(`softpost-student-${student.digest}`, () => download(data));
    tell({ kind: "answer", id });
  } catch (error) {
    const { title = TITLE, detail = String(error), faults = [] } = error as Partial<ProblemError>;
    tell({ kind: "answer", id, problem: { title, detail, faults } });
  }
});

async function download({ url, key, student }: Download): Promise<void> {
  const total = student.files.reduce((sum, { size }) => sum + size, 0);
  tell({ kind: "event", event: { kind: "phase", name: "download", total, unit: "bytes" } });
  const root = await navigator.storage.getDirectory();
  const students = await root.getDirectoryHandle("students", { create: true });
  const folder = await students.getDirectoryHandle(student.digest, { create: true });
  let done = 0;
  const onBytes = (more: number) => {
    done += more;
    tell({ kind: "event", event: { kind: "progress", done } });
  };
  for (const file of student.files) {
    await downloadFile(`${url}/v1/students/${student.id}/files/${file.name}`, key, file, folder, onBytes);
  }
}

/** Goes on where an earlier download ended. @throws ProblemError if the provider refuses, or what came has another digest */
async function downloadFile(
  url: string,
  key: string,
  file: FileRecord,
  folder: FileSystemDirectoryHandle,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const handle = await folder.getFileHandle(file.name, { create: true });
  const disk = await handle.createSyncAccessHandle();
  try {
    if (disk.getSize() > file.size) disk.truncate(0);
    const hash = sha256.create();
    let at = 0;
    for (; at < disk.getSize(); ) {
      const piece = new Uint8Array(Math.min(PIECE, disk.getSize() - at));
      disk.read(piece, { at });
      hash.update(piece);
      at += piece.length;
    }
    onBytes(at);
    if (at < file.size) {
      const response = await fetch(url, {
        headers: {
          authorization: `Bearer ${key}`,
          ...(at > 0 && { range: `bytes=${at}-`, "if-range": `"${file.sha256}"` }),
        },
        redirect: "error",
        cache: "no-store",
      });
      if (at > 0 && response.status !== 206) {
        disk.truncate(0);
        onBytes(-at);
        throw new ProblemError(
          TITLE,
          `${file.name} couldn't be continued (status ${response.status}). Try again: it begins anew.`,
        );
      }
      if (!response.ok || !response.body) {
        throw new ProblemError(TITLE, `The provider answered with status ${response.status} for ${file.name}.`);
      }
      const reader = response.body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        if (at + part.value.length > file.size)
          throw new ProblemError(TITLE, `${file.name} has more bytes than the catalogue says.`);
        disk.write(part.value, { at });
        hash.update(part.value);
        at += part.value.length;
        onBytes(part.value.length);
      }
    }
    const digest = Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (at < file.size) throw new ProblemError(TITLE, `${file.name} broke off. What came is kept; try again to go on.`);
    if (digest !== file.sha256) {
      disk.truncate(0);
      throw new ProblemError(TITLE, `${file.name} has another digest than the catalogue says. It was removed.`);
    }
    disk.flush();
  } finally {
    disk.close();
  }
}

tellRequests("download", tell);
tell({ kind: "ready" });

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { Button } from "./button.tsx";

/** A place to drop files or a folder on, with a button that does the same. */
export function DropZone({
  children,
  button,
  folder = false,
  multiple = false,
  accept,
  onFiles,
}: {
  readonly children: ComponentChildren;
  readonly button: string;
  readonly folder?: boolean;
  readonly multiple?: boolean;
  readonly accept?: string;
  readonly onFiles: (files: readonly File[]) => void;
}) {
  const [isOver, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  return (
    <section
      class={isOver ? "drop over" : "drop"}
      aria-label={button}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer) droppedFiles(event.dataTransfer).then(onFiles);
      }}
    >
      {children}
      <div class="buttons">
        <Button onClick={() => input.current?.click()}>{button}</Button>
      </div>
      <input
        ref={input}
        type="file"
        hidden
        aria-label={button}
        accept={accept}
        multiple={multiple || folder}
        {...(folder && { webkitdirectory: true })}
        onChange={(event) => {
          onFiles([...(event.currentTarget.files ?? [])]);
          // So that the same folder, changed meanwhile, can be chosen again.
          event.currentTarget.value = "";
        }}
      />
    </section>
  );
}

/** The files of what was dropped; those of a folder too, not of folders in it. */
async function droppedFiles({ items }: DataTransfer): Promise<File[]> {
  // All entries at once: the list is emptied when this function first waits.
  const dropped = [...items].map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const files = await Promise.all(
    dropped.map(async ({ entry, file }) => {
      // What another program hands over, such as an attachment, may lie in no file system.
      if (!entry) return file ? [file] : [];
      if (entry.isFile) return [await fileOf(entry as FileSystemFileEntry)];
      const inside = await childrenOf(entry as FileSystemDirectoryEntry);
      return Promise.all(inside.filter(({ isFile }) => isFile).map((each) => fileOf(each as FileSystemFileEntry)));
    }),
  );
  return files.flat();
}

const fileOf = (entry: FileSystemFileEntry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject));

/** A reader gives at most a hundred at a time, and none at the end. */
async function childrenOf(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

/** The browser's own storage for this address (OPFS): what outlives a tab. Every file is there whole or not at all. */
import { fs } from "memfs";

/** A file's bytes; undefined if there is none. */
export async function readStored(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const { folder, name } = await folderOf(path, false);
  const handle = await folder?.getFileHandle(name).catch(notFound);
  return handle && new Uint8Array(await (await handle.getFile()).arrayBuffer());
}

/** Writes a file; when the promise is kept, the file is stored. */
export async function store(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { folder, name } = await folderOf(path, true);
  const writable = await (await folder!.getFileHandle(name, { create: true })).createWritable();
  await writable.write(bytes);
  await writable.close();
}

/** Names in a folder; none if it isn't there. */
export async function listStored(path: string): Promise<string[]> {
  const { folder } = await folderOf(`${path}/-`, false);
  return folder ? Array.fromAsync(folder.keys()) : [];
}

/** Removes a file or a folder, if it is there. */
export async function removeStored(path: string): Promise<void> {
  const { folder, name } = await folderOf(path, false);
  await folder?.removeEntry(name, { recursive: true }).catch(notFound);
}

/** Copies a stored folder's files into this thread's memory, where there must be none of it. */
export async function bringFolder(stored: string, folder: string): Promise<void> {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  for (const name of await listStored(stored)) {
    fs.writeFileSync(`${folder}/${name}`, (await readStored(`${stored}/${name}`))!);
  }
}

/** Copies a folder's files from this thread's memory into the storage. */
export async function storeFolder(folder: string, stored: string): Promise<void> {
  for (const name of fs.readdirSync(folder) as string[]) {
    await store(`${stored}/${name}`, new Uint8Array(fs.readFileSync(`${folder}/${name}`) as Uint8Array));
  }
}

async function folderOf(path: string, create: boolean) {
  const names = path.split("/");
  const name = names.pop()!;
  let folder: FileSystemDirectoryHandle | undefined = await navigator.storage.getDirectory();
  for (const each of names) folder = await folder?.getDirectoryHandle(each, { create }).catch(notFound);
  return { folder, name };
}

function notFound(error: unknown): undefined {
  if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
  throw error;
}

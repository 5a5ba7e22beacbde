import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Writes all of some bytes: near a full disk or a quota, one write takes only a part of them, without an error. */
export function writeAll(handle: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const written = writeSync(handle, bytes, done, bytes.length - done, null);
    if (written === 0) throw new Error(`only ${done} of ${bytes.length} bytes were written`);
    done += written;
  }
}

/**
 * Puts bytes behind the first `length` ones of a file, in the place of what follows them, and waits until they are on the disk. If that fails, the file ends
 * after `length` bytes.
 */
export function appendWhole(path: string, length: number, bytes: Uint8Array): void {
  const handle = openSync(path, "a", 0o600);
  try {
    ftruncateSync(handle, length);
    try {
      writeAll(handle, bytes);
      fsyncSync(handle);
      const { size } = fstatSync(handle);
      if (size !== length + bytes.length) throw new Error(`it has ${size} bytes, not ${length + bytes.length}`);
    } catch (error) {
      ftruncateSync(handle, length);
      throw error;
    }
  } finally {
    closeSync(handle);
  }
  syncFolder(dirname(path));
}

/**
 * Writes a file of the user alone that has its name only when all of it is on the disk.
 *
 * @param place gives it its name: in the place of what has it, unless told otherwise
 */
export function placeWhole(path: string, bytes: Uint8Array, place: (own: string, path: string) => void = renameSync) {
  const own = `${path}.${crypto.randomUUID()}`;
  try {
    const handle = openSync(own, "wx", 0o600);
    try {
      writeAll(handle, bytes);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    place(own, path);
  } finally {
    rmSync(own, { force: true });
  }
  syncFolder(dirname(path));
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** The same files as fs.ts, with promises. */
import { fs } from "memfs";

export const { lstat, mkdir, open, readdir, readFile, realpath, rename, rm, stat, writeFile } = fs.promises;

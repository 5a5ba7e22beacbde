/**
 * What glibc reads when a program starts: memory comes in large pieces, which the system is asked to map in pages of 2 MB instead of 4 kB. Weights are read from end to end for every token, and
 * a core reads such pages a fifth faster (docs/performance.md). What is larger than 128 MB is mapped and given back by itself, as before.
 * https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html
 */
export const HUGE_PAGES = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=134217728:glibc.malloc.top_pad=67108864";

/** Starts this program anew in its place, with that memory, where the system has it and nobody has said otherwise. */
export function useHugePages(): void {
  const { env, execArgv, execPath, argv, platform } = process;
  // The first Node that has `execve` is 22.15; with Node's permissions on, it is refused.
  if (platform !== "linux" || env.GLIBC_TUNABLES !== undefined || !process.execve || process.permission) return;
  process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], { ...env, GLIBC_TUNABLES: HUGE_PAGES });
}

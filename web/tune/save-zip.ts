import { zipSync } from "fflate";

/** Has the browser save files as one zip archive. */
export function saveZip(name: string, files: readonly { readonly name: string; readonly bytes: Uint8Array }[]): void {
  const zip = zipSync(Object.fromEntries(files.map((file) => [file.name, file.bytes])), { level: 0 });
  const url = URL.createObjectURL(new Blob([new Uint8Array(zip)], { type: "application/zip" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

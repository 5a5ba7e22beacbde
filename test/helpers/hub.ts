import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { type Hub, hubOf } from "../../shared/data/hub-address.ts";
import { temporaryFolder } from "./temporary.ts";

const sha256 = (content: string | Buffer) => createHash("sha256").update(content).digest("hex");
const gitDigest = (content: Buffer) =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");

/** The commit that a revision of the test hub's models is. */
export const commitOf = (revision: string) => sha256(revision).slice(0, 40);

export interface TestHub {
  readonly hub: Hub;
  /** `<path> <range> <token>` of every request that came. */
  readonly requests: string[];
  /** Answers to the requests for a file's content, in their order; undefined is the right one. */
  readonly answers: ((file: Buffer, request: IncomingMessage, response: ServerResponse) => void)[];
  /** Answers to the next requests of any kind, in place of the right ones. */
  readonly interruptions: ((response: ServerResponse) => void)[];
}

/**
 * A hub with one model or data set, `org/tiny`, over real HTTP as huggingface.co answers: files of safetensors and Parquet are in LFS,
 * whose content another path is the place of, by a redirect.
 *
 * @param files name to content; a function makes those of a revision
 */
export async function startHub(
  files: (revision: string) => Readonly<Record<string, string | Buffer>>,
  kind: "models" | "datasets" = "models",
): Promise<TestHub> {
  const requests: string[] = [];
  const answers: TestHub["answers"] = [];
  const interruptions: TestHub["interruptions"] = [];
  const revisions = ["main", "v1.0", "refs/pr/1"];
  const content = (commit: string, name: string) => {
    const revision = revisions.find((candidate) => commitOf(candidate) === commit);
    const text = revision === undefined ? undefined : files(revision)[name];
    return text === undefined ? undefined : Buffer.from(text as string);
  };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, "http://x");
    requests.push(`${pathname} ${request.headers.range ?? ""} ${request.headers.authorization ?? ""}`);
    const interrupt = interruptions.shift();
    if (interrupt) return interrupt(response);
    const json = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

    const api = `/api/${kind}/org/tiny`;
    const asked = new RegExp(`^${api}/revision/([^/]+)$`).exec(pathname)?.[1];
    const revision = asked && revisions.find((name) => [name, commitOf(name)].includes(decodeURIComponent(asked)));
    if (revision) return json(200, { _id: "1", id: "org/tiny", sha: commitOf(revision) });
    const listed = new RegExp(`^${api}/tree/(\\w+)$`).exec(pathname)?.[1];
    if (listed) {
      const name = revisions.find((candidate) => commitOf(candidate) === listed)!;
      return json(200, [
        { type: "directory", path: "onnx", size: 0, oid: listed },
        ...Object.entries(files(name)).map(entry),
      ]);
    }
    const place = kind === "models" ? "" : "datasets/";
    const [, from, commit, file] = new RegExp(`^/(${place}org/tiny/resolve|store)/(\\w+)/(.+)$`).exec(pathname) ?? [];
    const found = file && content(commit!, decodeURIComponent(file));
    if (!found) return json(pathname.includes("secret") ? 401 : 404, { error: "Repository not found" });
    if (from !== "store" && isLarge(file)) {
      return response.writeHead(302, { location: `/store/${commit}/${file}` }).end();
    }
    return (answers.shift() ?? sendRange)(found, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const home = temporaryFolder();
  return {
    hub: hubOf({ HF_ENDPOINT: endpoint, HF_HOME: home, HF_TOKEN: "hf_test" }),
    requests,
    answers,
    interruptions,
  };
}

const isLarge = (name: string) => /\.(safetensors|parquet)$/.test(name);

/** A row of the hub's list of files. */
function entry([path, text]: [string, string | Buffer]) {
  const content = Buffer.from(text as string);
  const lfs = { oid: sha256(content), size: content.length, pointerSize: 130 };
  const row = { type: "file", path, size: content.length };
  return isLarge(path) ? { ...row, oid: "0".repeat(40), lfs } : { ...row, oid: gitDigest(content) };
}

/** Sends what was asked for. */
export function sendRange(file: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const part = file.subarray(from);
  const headers = { "content-length": part.length, "content-range": `bytes ${from}-${file.length - 1}/${file.length}` };
  response.writeHead(from > 0 ? 206 : 200, headers).end(part);
}

/** Says that the whole rest comes, sends so much of it, and breaks the connection, when that has arrived. */
export function sendAtMost(bytes: number) {
  return (file: Buffer, request: IncomingMessage, response: ServerResponse): void => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, { "content-length": file.length - from });
    response.write(file.subarray(from, from + bytes), () => setTimeout(() => request.socket.destroy(), 20));
  };
}

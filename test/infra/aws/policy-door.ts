/** A door in front of the local bucket that lets through what a synthesised policy allows: S3's rights, on the code's real requests. */
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { readSettings } from "../../../infra/aws/settings.ts";
import { SoftpostStack } from "../../../infra/aws/stack.ts";

interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  // biome-ignore lint/suspicious/noExplicitAny: CloudFormation's functions
  readonly Resource: any;
}

/** The statements about S3 of a role or user, by the beginning of its logical id, in the template of a stage with a bucket of its own. */
export function statementsOf(principal: string): Statement[] {
  const stack = new SoftpostStack(new App(), { ...readSettings("production"), r2Bucket: undefined });
  const policies = Object.values(Template.fromStack(stack).findResources("AWS::IAM::Policy"));
  const own = policies.filter(({ Properties }) =>
    [...(Properties.Users ?? []), ...(Properties.Roles ?? [])].some(({ Ref }: { Ref: string }) =>
      Ref.startsWith(principal),
    ),
  );
  return own.flatMap(({ Properties }) => Properties.PolicyDocument.Statement as Statement[]);
}

/** The keys that a resource of a policy stands for, `*` for anything; undefined for the bucket itself. */
function keyPattern(resource: Statement["Resource"]): RegExp | undefined {
  const [, parts] = resource["Fn::Join"] ?? [];
  const suffix = parts?.at(-1);
  if (typeof suffix !== "string" || !suffix.startsWith("/")) return undefined;
  const escaped = suffix.slice(1).replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*")}$`);
}

/** Whether the statements allow an action on a key, or on the bucket. */
export function allows(statements: readonly Statement[], action: string, key: string | undefined): boolean {
  return statements.some(({ Effect, Action, Resource }) => {
    if (Effect !== "Allow" || ![Action].flat().includes(action)) return false;
    return [Resource].flat().some((resource) => {
      if (typeof resource === "string") return false;
      const pattern = keyPattern(resource);
      return key === undefined ? pattern === undefined : (pattern?.test(key) ?? false);
    });
  });
}

/** What S3 calls a request: action and key. */
function actionOf(method: string, key: string, query: URLSearchParams): [string, string | undefined] {
  if (key === "") return ["s3:ListBucket", undefined];
  if (method === "GET" || method === "HEAD") return ["s3:GetObject", key];
  if (method === "DELETE") return [query.has("uploadId") ? "s3:AbortMultipartUpload" : "s3:DeleteObject", key];
  return ["s3:PutObject", key];
}

/** @param s3 the local bucket's endpoint */
export async function policyDoor(s3: string, bucketName: string, statements: readonly Statement[]) {
  const { hostname, port, pathname } = new URL(s3);
  const used = new Set<string>();
  const refused: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://door");
    const key = decodeURIComponent(url.pathname.slice(`${pathname}/${bucketName}`.length).replace(/^\//, ""));
    const [action, of] = actionOf(request.method!, key, url.searchParams);
    if (!allows(statements, action, of)) {
      refused.push(`${action} ${of}`);
      request.resume();
      response.writeHead(403).end("<Error><Code>AccessDenied</Code></Error>");
      return;
    }
    used.add(action);
    const { method, headers, url: path } = request;
    const passed = httpRequest({ hostname, port, path, method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => request.destroy());
    request.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    /** In place of the bucket's own. */
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`,
    used,
    refused,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

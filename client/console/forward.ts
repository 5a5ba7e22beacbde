/** Headers of the page's that the provider gets, and of its answer that the page gets: nothing of this machine's. */
const ASKED = [
  ...["accept", "authorization", "content-type", "idempotency-key", "if-none-match", "if-range"],
  ...["last-event-id", "range"],
];
const ANSWERED = [
  ...["cache-control", "content-disposition", "content-range", "content-type", "etag", "location"],
  ...["ratelimit", "ratelimit-policy", "retry-after", "x-request-id"],
];

/** Passes a request of the page's on to the provider, and its answer back, both as streams. Who hangs up stops it at the provider too. */
export async function forward(request: Request, provider: string): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  const body = ["GET", "HEAD"].includes(request.method) ? null : request.body;
  try {
    const answer = await fetch(`${provider}${pathname}${search}`, {
      method: request.method,
      // Not compressed, so that the length that the provider says is that of what is passed on.
      headers: { ...picked(request.headers, ASKED), "accept-encoding": "identity" },
      body,
      signal: request.signal,
      // Following a redirect could take the key to somebody else.
      redirect: "error",
      ...(body && { duplex: "half" }),
    } as RequestInit);
    return new Response(answer.body, { status: answer.status, headers: picked(answer.headers, ANSWERED) });
  } catch (cause) {
    const reason = ((cause as Error).cause as Error | undefined)?.message ?? (cause as Error).message;
    const problem = { title: "The provider can't be reached", detail: `${provider}: ${reason}.` };
    return Response.json(problem, { status: 503, headers: { "content-type": "application/problem+json" } });
  }
}

function picked(headers: Headers, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (headers.has(name) ? [[name, headers.get(name)!]] : [])));
}

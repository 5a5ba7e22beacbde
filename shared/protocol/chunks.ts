/** The pieces of a stream as they come. Not every browser's streams can be iterated by themselves. */
export async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  let isDone = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      isDone = done;
      if (done) return;
      yield value;
    }
  } finally {
    // Whoever stops reading hangs up.
    if (!isDone) await reader.cancel().catch(() => {});
  }
}

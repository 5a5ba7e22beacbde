import { Transform } from "node:stream";
import { Gunzip } from "fflate";

/** A stream of what a gzip file holds. */
export function createGunzip(): Transform {
  const gunzip = new Gunzip();
  const stream = new Transform({
    transform(chunk: Uint8Array, _, done) {
      attempt(() => gunzip.push(new Uint8Array(chunk)), done);
    },
    flush(done) {
      attempt(() => gunzip.push(new Uint8Array(), true), done);
    },
  });
  gunzip.ondata = (chunk) => stream.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  return stream;
}

/** What is damaged is said as Node says it: with a code. */
function attempt(run: () => void, done: (error?: Error) => void): void {
  try {
    run();
    done();
  } catch (error) {
    done(Object.assign(error as Error, { code: "Z_DATA_ERROR" }));
  }
}

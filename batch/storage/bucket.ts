import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parseJson } from "../../shared/protocol/json.ts";
import { type Content, PART_BYTES, putInParts, uploadInParts } from "./multipart.ts";
import { proxyAgents } from "./proxy-agents.ts";

export interface BucketOptions {
  readonly name: string;
  /** Null for AWS's own. R2's is https://ACCOUNT.r2.cloudflarestorage.com. */
  readonly endpoint: string | null;
  /** Null for the SDK's own chain: a role on AWS. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
}

/** The bucket as the jobs see it, through its S3 door. Every object's content is in memory once at most; files are streamed. */
export class Bucket {
  private readonly client: S3Client;
  readonly name: string;

  constructor({ name, endpoint, credentials }: BucketOptions) {
    this.name = name;
    const requestHandler = proxyAgents();
    this.client = new S3Client({
      ...(requestHandler && { requestHandler }),
      forcePathStyle: true,
      // With the SDK's default, R2 refuses streamed bodies or stores them with their checksums inside.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      // R2 has one region; on AWS the SDK finds the machine's own.
      ...(endpoint !== null && { endpoint, region: "auto" }),
      ...(credentials !== null && { credentials }),
    });
  }

  /** The object, or undefined where there is none. */
  async read(key: string): Promise<Uint8Array | undefined> {
    const object = await this.get(key);
    return object && (await object.Body!.transformToByteArray());
  }

  /**
   * The object.
   *
   * @param sha256 its digest, where that is known
   * @throws ProblemError if there is none, or its digest is another
   */
  async need(key: string, sha256?: string): Promise<Uint8Array> {
    const bytes = await this.read(key);
    if (!bytes) throw new ProblemError("The bucket lacks an object", `${key} is not there.`, { status: 404 });
    if (sha256 !== undefined) checkDigest(key, createHash("sha256").update(bytes).digest("hex"), sha256);
    return bytes;
  }

  /** @throws ProblemError if there is none, or it isn't JSON */
  async readJson(key: string): Promise<unknown> {
    return parseJson(new TextDecoder().decode(await this.need(key)), key, "An object is damaged");
  }

  async has(key: string): Promise<boolean> {
    try {
      await this.client.send(new HeadObjectCommand({ Bucket: this.name, Key: key }));
      return true;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  async write(key: string, body: Uint8Array | string): Promise<void> {
    await this.client.send(new PutObjectCommand({ Bucket: this.name, Key: key, Body: body }));
  }

  /** Writes an object unless it is there already; says whether it did. */
  async writeOnce(key: string, body: Uint8Array | string): Promise<boolean> {
    return (await this.writeIf(key, body, null)) !== undefined;
  }

  /**
   * Writes an object if it is still what it was.
   *
   * @param etag of what it was; null if it wasn't there
   * @returns its new ETag, undefined if it is something else by now
   */
  async writeIf(key: string, body: Uint8Array | string, etag: string | null): Promise<string | undefined> {
    const condition = etag === null ? { IfNoneMatch: "*" } : { IfMatch: etag };
    try {
      const put = new PutObjectCommand({ Bucket: this.name, Key: key, Body: body, ...condition });
      return (await this.client.send(put)).ETag!;
    } catch (error) {
      // S3 answers 409 to one of two who write at once, and 404 where the object was removed meanwhile.
      if ([404, 409, 412].includes(statusOf(error) ?? 0)) return undefined;
      throw error;
    }
  }

  /** The object with its ETag, or undefined where there is none. */
  async readTagged(key: string): Promise<{ bytes: Uint8Array; etag: string } | undefined> {
    const object = await this.get(key);
    return object && { bytes: await object.Body!.transformToByteArray(), etag: object.ETag! };
  }

  /** Removes an object; that it isn't there is no error. */
  async remove(key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: this.name, Key: key }));
  }

  /**
   * Puts a local file into the bucket: streamed, and above a size in parts, so that an interrupted upload goes on at the next try.
   *
   * @param sha256 the file's, which a large one is checked against
   * @param largest bytes that are uploaded as one, and of a part
   * @throws ProblemError if a large file's digest is another
   */
  async upload(path: string, key: string, sha256: string, largest = PART_BYTES): Promise<void> {
    const { size } = await stat(path);
    if (size > largest) return uploadInParts(this.client, this, key, { path, size, sha256, partBytes: largest });
    const Body = createReadStream(path);
    await this.client.send(new PutObjectCommand({ Bucket: this.name, Key: key, Body, ContentLength: size }));
  }

  /**
   * Writes an object whose content is made or read as it is sent: above a size in parts, which an interruption removes.
   * @param largest bytes that are uploaded as one, and of a part
   */
  async put(key: string, content: Content, largest = PART_BYTES): Promise<void> {
    if (content.size > largest) return putInParts(this.client, { Bucket: this.name, Key: key }, content, largest);
    await this.write(key, await content.read(0, content.size));
  }

  /** The object piece by piece, or undefined where there is none. */
  async stream(key: string): Promise<AsyncIterable<Uint8Array> | undefined> {
    return (await this.get(key))?.Body as AsyncIterable<Uint8Array> | undefined;
  }

  /**
   * Streams an object into a local file, which appears only if its digest is right.
   *
   * @throws ProblemError if it isn't there or its digest is another
   */
  async download(key: string, path: string, sha256: string): Promise<void> {
    const body = (await this.get(key))?.Body;
    if (!body) throw new ProblemError("The bucket lacks an object", `${key} is not there.`, { status: 404 });
    await mkdir(dirname(path), { recursive: true });
    const part = `${path}.${process.pid}.part`;
    const hash = createHash("sha256");
    const hashing = new Transform({
      transform(chunk, _, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    await pipeline(body as unknown as NodeJS.ReadableStream, hashing, createWriteStream(part));
    checkDigest(key, hash.digest("hex"), sha256);
    await rename(part, path);
  }

  /** The keys that start with `prefix`, in order. */
  async list(prefix: string): Promise<string[]> {
    return (await this.listObjects(prefix)).map(({ key }) => key);
  }

  /** The keys that start with `prefix`, oldest first. */
  async listByAge(prefix: string): Promise<string[]> {
    const objects = await this.listObjects(prefix);
    return objects.sort((a, b) => a.modified - b.modified).map(({ key }) => key);
  }

  private async listObjects(prefix: string): Promise<{ key: string; modified: number }[]> {
    const objects: { key: string; modified: number }[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await this.client.send(
        new ListObjectsV2Command({ Bucket: this.name, Prefix: prefix, ContinuationToken }),
      );
      for (const { Key, LastModified } of page.Contents ?? []) {
        objects.push({ key: Key!, modified: LastModified?.getTime() ?? 0 });
      }
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    return objects;
  }

  private async get(key: string): Promise<GetObjectCommandOutput | undefined> {
    try {
      return await this.client.send(new GetObjectCommand({ Bucket: this.name, Key: key }));
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }
}

function checkDigest(key: string, found: string, sha256: string): void {
  if (found === sha256) return;
  throw new ProblemError("An object is damaged", `${key} has the digest ${found}; it should have ${sha256}.`);
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

/** What Node says where an address can't be reached, and the SDK where a role's credentials can't be had. */
const UNREACHABLE =
  /^(ECONN|EAI_AGAIN|ENOTFOUND|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ERR_STREAM_PREMATURE_CLOSE)|TimeoutError|Throttl|SlowDown|TooManyRequests|CredentialsProviderError/;

/** Whether the storage couldn't be reached, or was too busy, for longer than its client tries: that passes. */
export function isOutOfReach(error: unknown): boolean {
  if (error instanceof ProblemError) return false;
  const { name = "", code = "", cause } = error as { name?: string; code?: unknown; cause?: unknown };
  const status = statusOf(error) ?? 0;
  if (status >= 500 || status === 429 || UNREACHABLE.test(name) || UNREACHABLE.test(String(code))) return true;
  return cause !== undefined && cause !== error && isOutOfReach(cause);
}

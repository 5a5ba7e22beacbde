import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { z } from "zod";
import { bucket } from "../../shared/protocol/bucket.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";

/** S3 and R2 take at most so many parts, */
const MAX_PARTS = 10_000;
/** all but the last of one size, at least 5 MiB. This one bounds the memory that an upload takes, and what an interruption loses. */
export const PART_BYTES = 64 * 1024 * 1024;

/** What is there of an upload that hasn't ended, kept in the bucket: not every store can list it. */
const journalSchema = z.object({
  key: z.string(),
  uploadId: z.string(),
  partBytes: z.int().positive(),
  parts: z.array(z.object({ md5: z.string(), etag: z.string() })),
});

type Journal = z.output<typeof journalSchema>;

/** What is needed of the bucket beside uploading. */
interface Objects {
  readonly name: string;
  read(key: string): Promise<Uint8Array | undefined>;
  write(key: string, body: string): Promise<void>;
  remove(key: string): Promise<void>;
}

export interface LargeFile {
  readonly path: string;
  /** Bytes, at least 1. */
  readonly size: number;
  readonly sha256: string;
  readonly partBytes: number;
}

/** What an object is to hold, whatever its size: any part of it can be asked for. */
export interface Content {
  /** Bytes. */
  readonly size: number;
  read(position: number, length: number): Promise<Uint8Array>;
}

interface Place {
  readonly Bucket: string;
  readonly Key: string;
}

/** Uploads a content in parts. If it fails the parts are removed: nobody will go on with them. */
export async function putInParts(client: S3Client, where: Place, content: Content, partBytes: number): Promise<void> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(where));
  const upload = { ...where, UploadId };
  const length = partLength(content.size, partBytes);
  try {
    const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
    for (let at = 0; at < content.size; at += length) {
      const Body = await content.read(at, Math.min(length, content.size - at));
      const PartNumber = Parts.length + 1;
      const ContentMD5 = createHash("md5").update(Body).digest("base64");
      const { ETag } = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body, ContentMD5 }));
      Parts.push({ PartNumber, ETag });
    }
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
  } catch (error) {
    // Stores give up unfinished uploads after some days, if this doesn't arrive.
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => {});
    throw error;
  }
}

const partLength = (size: number, partBytes: number) => Math.max(partBytes, Math.ceil(size / MAX_PARTS));

/**
 * Uploads a file in parts, which S3 wants above 5 GB. After an interruption the next try goes on: parts that are there already stay where their bytes
 * are the file's. Every part carries its MD5, which the store checks; the whole file's digest is checked before the object appears.
 *
 * @throws ProblemError if the file's digest is another by now: nothing appears in the bucket
 */
export async function uploadInParts(client: S3Client, store: Objects, key: string, file: LargeFile): Promise<void> {
  const journal = bucket.upload(file.sha256);
  const where = { Bucket: store.name, Key: key };
  const before = await readJournal(store, journal);
  const usable = before?.key === key && before.partBytes === file.partBytes ? before : undefined;
  const begin = async (): Promise<Journal> => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(where));
    return { key, uploadId: UploadId!, partBytes: file.partBytes, parts: [] };
  };
  const upload = async (state: Journal) => {
    await sendParts(client, where, file, state, () => store.write(journal, JSON.stringify(state)));
    const Parts = state.parts.map(({ etag }, i) => ({ PartNumber: i + 1, ETag: etag }));
    const whole = { ...where, UploadId: state.uploadId, MultipartUpload: { Parts } };
    await client.send(new CompleteMultipartUploadCommand(whole));
  };
  try {
    await upload(usable ?? (await begin()));
  } catch (error) {
    // Stores give up unfinished uploads after some days.
    if (!usable || (error as Error).name !== "NoSuchUpload") throw error;
    await upload(await begin());
  }
  await store.remove(journal);
}

async function readJournal(store: Objects, key: string): Promise<Journal | undefined> {
  const bytes = await store.read(key);
  return bytes && journalSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
}

/** Sends the parts that `state` lacks or has otherwise, and notes each there. */
async function sendParts(
  client: S3Client,
  where: Place,
  { path, size, sha256, partBytes }: LargeFile,
  state: Journal,
  note: () => Promise<void>,
): Promise<void> {
  const length = partLength(size, partBytes);
  const whole = createHash("sha256");
  const file = await open(path);
  try {
    for (let i = 0; i * length < size; i++) {
      const Body = await readPart(file, i * length, Math.min(length, size - i * length), path);
      whole.update(Body);
      const digest = createHash("md5").update(Body).digest();
      const md5 = digest.toString("hex");
      if (state.parts[i]?.md5 === md5) continue;
      const part = { UploadId: state.uploadId, PartNumber: i + 1, Body, ContentMD5: digest.toString("base64") };
      const { ETag } = await client.send(new UploadPartCommand({ ...where, ...part }));
      state.parts[i] = { md5, etag: ETag! };
      await note();
    }
  } finally {
    await file.close();
  }
  if (whole.digest("hex") === sha256) return;
  throw new ProblemError("The file has changed", `${path} is not what it was when it was hashed. Publish it again.`);
}

async function readPart(file: FileHandle, position: number, length: number, path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw new ProblemError("The file has changed", `${path} became shorter while it was read.`);
    done += bytesRead;
  }
  return bytes;
}

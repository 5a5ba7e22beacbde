/**
 * Which texts of a public set a transfer takes. What no step can see isn't read by any model: of a larger set a random sample is taken, unless texts are chosen
 * by what the prompted student says of all of them. So neither memory nor work grows with the set, but for the student's scores where it chooses.
 */
import { shuffle } from "../data/batches.ts";
import { pathOf, textsOf } from "../data/jsonl.ts";
import type { Rows } from "../data/packed-texts.ts";
import type { Engine } from "../graph/engine.ts";
import { ProblemError } from "../protocol/errors.ts";
import { Draws, seededRandom } from "../protocol/random.ts";
import { heldOutTexts, takenTexts } from "../protocol/transfer-texts.ts";
import { partOf, type Watch } from "../training/events.ts";
import { selectTexts } from "../training/public-texts.ts";
import type { EncodedText } from "../training/texts.ts";
import { readScores } from "../training/transfer.ts";
import { pick } from "../training/travel.ts";
import { requireFinite } from "./checks.ts";
import { classWords } from "./class-words.ts";
import { encodedGroups, encodeTexts } from "./texts.ts";
import type { TransferRequest } from "./transfer-request.ts";

/** A stream of random numbers of its own. */
const STREAM = 19;

/** Texts of a public set, in its order. */
export interface TakenTexts {
  /** As either model reads them: a student that was cut from its target reads with the target's tokenizer, an open one with its own. */
  readonly texts: Rows<EncodedText>;
  readonly studentTexts: Rows<EncodedText>;
  /** How many of them aren't fitted to. */
  readonly heldOut: number;
  /** What tells them from other texts of the set: empty if they are all; undefined if this prompt chose them. */
  readonly part: string | undefined;
  /** What the prompted student says of them, `[N, K]`, if they were chosen by it. */
  readonly scores?: Float32Array;
}

type Request = Omit<TransferRequest, "loss" | "state">;

/**
 * Takes the texts.
 * @param run runs something with an engine
 * @throws ProblemError for texts that can't be read or that the task doesn't fit
 */
export async function takeTexts(
  request: Request,
  run: <T>(use: (engine: Engine) => Promise<T>) => Promise<T>,
  watch: Watch,
): Promise<TakenTexts> {
  const { publicSet, steps, batchSize, seed } = request;
  const say = (text: string) => watch.onEvent?.({ kind: "note", text });
  const { areChosen, texts: count, heldOut } = takenTexts(request, publicSet.examples);
  if (areChosen) {
    const { chosen, scores } = await run((engine) => chooseTexts(engine, request, count, watch));
    return { ...(await encoded(request, chosen, say)), heldOut: heldOutTexts(chosen.length), part: undefined, scores };
  }
  if (count === publicSet.examples) return { ...(await encoded(request, undefined, say)), heldOut, part: "" };
  say(
    `Of ${publicSet.examples} public texts ${count} are taken at random: ${steps} steps of ${batchSize} see no more, beside those that are held out.`,
  );
  const order = Int32Array.from({ length: publicSet.examples }, (_, text) => text);
  const sample = shuffle(order, new Draws(seededRandom(seed, STREAM))).slice(0, count);
  return { ...(await encoded(request, sample.sort(), say)), heldOut, part: `${seed}-${count}` };
}

/** The texts that the prompted student is surest of, with what it says of them: in memory is no more than its scores. */
async function chooseTexts(engine: Engine, request: Request, limit: number, watch: Watch) {
  const { student, target, open, prompt, publicSet } = request;
  const { file, examples } = publicSet;
  const { task } = prompt.manifest;
  const classes = await classWords(task, student, watch);
  const scores = new Float32Array(examples * classes.length);
  let done = 0;
  for await (const texts of encodedGroups(textsOf(file), pathOf(file), task, open ? student : target)) {
    if (done + texts.length > examples) throw changed(request);
    const part = partOf(watch, done, examples);
    const some = await readScores(engine, student.model, classes, texts, "choosing texts", part, prompt.value);
    scores.set(some, done * classes.length);
    done += texts.length;
  }
  if (done < examples) throw changed(request);
  requireFinite(scores, "The class scores of the prompted student");
  const chosen = selectTexts(scores, classes.length, limit);
  return { chosen, scores: pick(scores, classes.length, chosen) };
}

/** @param which texts, ascending; all without it */
async function encoded(
  { target, student, open, prompt, publicSet: { file } }: Request,
  which: Int32Array | undefined,
  say: (text: string) => void,
): Promise<Pick<TakenTexts, "texts" | "studentTexts">> {
  const { task } = prompt.manifest;
  const read = () => (which ? only(textsOf(file), which) : textsOf(file));
  const texts = await encodeTexts(read(), pathOf(file), task, target, say, which);
  const studentTexts = open ? await encodeTexts(read(), pathOf(file), task, student, undefined, which) : texts;
  return { texts, studentTexts };
}

/** Some of many items. @param which they are, ascending */
async function* only<T>(items: AsyncIterable<T>, which: Int32Array): AsyncGenerator<T> {
  let [at, found] = [0, 0];
  for await (const item of items) {
    if (found === which.length) return;
    if (at++ !== which[found]) continue;
    found++;
    yield item;
  }
}

function changed({ publicSet }: Request): ProblemError {
  return new ProblemError("The data file is not valid", `${pathOf(publicSet.file)} changed while it was read.`);
}

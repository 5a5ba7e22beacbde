/**
 * Which of several public sets a transfer takes: the one whose texts the prompted student tells apart best. That is decided by the prompt, the task and public
 * texts, which the provider has; by nothing else of the client's. Whether it predicts how well a prompt travels isn't measured (docs/results.md).
 */
import { type Data, pathOf, textsOf } from "../data/jsonl.ts";
import type { PackedTexts } from "../data/packed-texts.ts";
import { verbalizer } from "../data/verbalizer.ts";
import type { RankedSet } from "../protocol/manifest.ts";
import { Draws, seededRandom } from "../protocol/random.ts";
import { RANKED_TEXTS } from "../protocol/transfer-texts.ts";
import { computedModel } from "../protocol/weights.ts";
import { hardlyNamed, readingsOf } from "../training/public-texts.ts";
import { readScores } from "../training/transfer.ts";
import { requireClasses, requireFinite } from "./checks.ts";
import { encodeTexts } from "./texts.ts";
import type { TransferRequest, TransferTools } from "./transfer-request.ts";

/** A stream of random numbers of its own. */
const STREAM = 18;

/** A public set that may be taken. */
export interface Candidate {
  readonly id: string;
  readonly digest: string;
  readonly file: Data;
}

/** The set to take, and if there are several all of them with their figures, best first. @throws ProblemError as `rankPublicSets` */
export async function chooseSet(
  request: RankRequest,
  candidates: readonly Candidate[],
  tools: RankTools,
): Promise<{ readonly candidate: Candidate; readonly ranked: RankedSet[] | undefined }> {
  if (candidates.length === 1) return { candidate: candidates[0]!, ranked: undefined };
  const ranked = await rankPublicSets(request, candidates, tools);
  return { candidate: candidates[ranked[0]!.index]!, ranked: ranked.map(({ figures }) => figures) };
}

type RankRequest = Pick<TransferRequest, "student" | "prompt" | "seed">;
type RankTools = Pick<TransferTools, "use" | "watch">;

/**
 * Ranks public sets by the mutual information of text and class in what the prompted student says of some of their texts: high where it gives all classes and
 * is sure of each. Of equals the first stays first.
 *
 * @returns their places in `candidates` and their figures, best first
 * @throws ProblemError for a task whose answer is text, and for texts that can't be read
 */
async function rankPublicSets(
  { student, prompt, seed }: RankRequest,
  candidates: readonly Candidate[],
  { use, watch }: RankTools,
): Promise<{ readonly index: number; readonly figures: RankedSet }[]> {
  const task = requireClasses(prompt.manifest.task);
  const { classes } = await verbalizer(task, student.tokenizer);
  const samples: PackedTexts[] = [];
  for (const { file } of candidates) {
    samples.push(await encodeTexts(await sampleOf(textsOf(file), seed), pathOf(file), task, student));
  }
  const graphs = ["rank", computedModel(student.record), prompt.value.shape[0]].join(" ");
  const ranked = await use(graphs, async (engine) => {
    const figures = [];
    for (const [index, { id, digest }] of candidates.entries()) {
      const texts = samples[index]!;
      const name = `reading public set ${index + 1} of ${candidates.length}`;
      const scores = await readScores(engine, student.model, classes, texts, name, watch, prompt.value);
      requireFinite(scores, "The class scores of the prompted student");
      const readings = readingsOf(scores, classes.length);
      const { information, confidences } = readings;
      const confidence = Math.min(1, confidences.reduce((sum, each) => sum + each, 0) / texts.length);
      const unnamed = hardlyNamed(readings, classes.length).length;
      figures.push({ index, figures: { id, digest, texts: texts.length, information, confidence, unnamed } });
    }
    return figures;
  });
  return ranked.sort((a, b) => b.figures.information - a.figures.information);
}

/** A random sample of at most `RANKED_TEXTS` (Vitter 1985, algorithm R): the same for the same texts, whatever is read beside them. */
async function sampleOf(texts: AsyncIterable<string>, seed: number): Promise<string[]> {
  const draws = new Draws(seededRandom(seed, STREAM));
  const sample: string[] = [];
  let seen = 0;
  for await (const text of texts) {
    seen += 1;
    if (sample.length < RANKED_TEXTS) sample.push(text);
    else {
      const at = draws.integer(seen);
      if (at < RANKED_TEXTS) sample[at] = text;
    }
  }
  return sample;
}

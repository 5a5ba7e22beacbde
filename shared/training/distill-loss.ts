/**
 * The loss of distillation, with its gradient, in pieces of rows: neither the teacher's nor the student's logits are ever there for all
 * rows. N rows in all, n of a piece, V vocabulary, D width.
 */
import { gradients } from "../graph/gradients.ts";
import { add, div, log, mul, sub } from "../graph/operators/elementwise.ts";
import { addAt, crossEntropy, pick } from "../graph/operators/indexing.ts";
import { concat, reshape, split } from "../graph/operators/layout.ts";
import { reduceSum } from "../graph/operators/reduction.ts";
import { softmaxParts } from "../graph/operators/softmax.ts";
import { closedForm, type Tensor } from "../graph/tensor.ts";
import { cosineDistance, type LanguageOutputs, type LanguageTargets, TEMPERATURE, weightedMean } from "./losses.ts";

/** Rows of a piece: enough for products at full speed, and few enough for logits that a cache may hold. */
const PIECE_ROWS = 128;

/** Weights of the three terms of distillation (POST, table 8). */
const WEIGHTS = { kl: 5, lm: 2, cosine: 1 } as const;

/**
 * 5·T²·KL(teacher ‖ student) + 2·language loss + (1 − cos of the final hidden states); the first and the last are averaged over
 * real positions, the other one over the predicted ones. The gradient flows to the student's hidden states, not to its head.
 * @param targets with `real`, 1 for a real position, `[N]`
 */
export function distillLoss(
  teacher: LanguageOutputs,
  student: LanguageOutputs,
  targets: LanguageTargets & { readonly real: Tensor },
): Tensor {
  const imitation = div(mul(targets.real, WEIGHTS.kl * TEMPERATURE ** 2), reduceSum(targets.real));
  const language = div(mul(targets.predicted, WEIGHTS.lm), reduceSum(targets.predicted));
  const rows = [teacher.hidden, student.hidden, targets.labels, imitation, language];
  const pieces = inPieces(rows, ([of, hidden, ...compared]) =>
    pieceLoss(teacher.head(of!), { hidden: hidden!, head: student.head }, compared as [Tensor, Tensor, Tensor]),
  );
  const sum = pieces.map(({ loss }) => loss).reduce((a, b) => add(a, b));
  const apart = closedForm(sum, [student.hidden], (gradient) => [
    () =>
      mul(
        concat(
          pieces.map((piece) => piece.gradient),
          0,
        ),
        gradient,
      ),
  ]);
  const direction = weightedMean(cosineDistance(student.hidden, teacher.hidden), targets.real);
  return add(apart, mul(direction, WEIGHTS.cosine));
}

/** The mean cross-entropy over the predicted positions, without a gradient. */
export function measuredLanguageLoss({ hidden, head }: LanguageOutputs, targets: LanguageTargets): Tensor {
  const pieces = inPieces([hidden, targets.labels, targets.predicted], ([rows, labels, counted]) => ({
    loss: reduceSum(mul(crossEntropy(head(rows!), labels!), counted!)),
  }));
  return div(
    pieces.map(({ loss }) => loss).reduce((a, b) => add(a, b)),
    reduceSum(targets.predicted),
  );
}

/**
 * A piece's part of the loss but for the cosine, with its gradient. With p and q for the distributions at temperature T = 2, the
 * student's at temperature 1 is r = q² / Σ q², and the gradient of its logits is a (q − p) / T + b (r − 1 at the label).
 * @param wanted the teacher's logits `[n, V]`
 * @param compared labels, and the weights a of each row's KL and b of its cross-entropy, `[n]` each
 * @returns `loss`, a scalar, and `gradient`, of the student's hidden states, `[n, D]`
 */
function pieceLoss(
  wanted: Tensor,
  { hidden, head }: LanguageOutputs,
  [labels, a, b]: readonly [Tensor, Tensor, Tensor],
): Record<"loss" | "gradient", Tensor> {
  const logits = head(hidden);
  const [t, s] = [mul(wanted, 1 / TEMPERATURE), mul(logits, 1 / TEMPERATURE)];
  const [teacher, student] = [softmaxParts(t), softmaxParts(s)];
  const [p, q] = [teacher.probabilities, student.probabilities];
  const column = (x: Tensor) => reshape(x, [...labels.shape, 1]);
  const lastSum = (x: Tensor) => reduceSum(x, [-1], true);
  const logTotal = ({ maximum, logPeak }: typeof teacher) => sub(maximum, logPeak);
  const divergence = add(lastSum(mul(p, sub(t, s))), sub(logTotal(student), logTotal(teacher)));
  const squares = lastSum(mul(q, q));
  const likelihood = mul(sub(pick(s, column(labels)), logTotal(student)), TEMPERATURE);
  const loss = add(mul(divergence, column(a)), mul(sub(log(squares), likelihood), column(b)));

  const towards = column(mul(a, 1 / TEMPERATURE));
  const slope = sub(mul(q, add(mul(q, div(column(b), squares)), towards)), mul(p, towards));
  const ofLogits = addAt(slope, column(labels), column(mul(b, -1)));
  return { loss: reduceSum(loss), gradient: gradients(logits, [hidden], ofLogits)[0]! };
}

/**
 * Computes something of some rows at a time, one piece after the other: every one waits for all that the one before makes, since
 * ONNX Runtime would be free to compute, and keep, the largest parts of all of them first.
 * @param rows tensors of as many rows, the first of which is float32
 */
function inPieces<T extends Readonly<Record<string, Tensor>>>(
  rows: readonly Tensor[],
  compute: (piece: readonly Tensor[]) => T,
): readonly T[] {
  const count = rows[0]!.shape[0] as number;
  const lengths = Array.from({ length: Math.ceil(count / PIECE_ROWS) }, (_, i) =>
    Math.min(PIECE_ROWS, count - i * PIECE_ROWS),
  );
  const parts = rows.map((tensor) => split(tensor, 0, lengths));
  let made: T | undefined;
  return lengths.map((_, i) => {
    const [first, ...others] = parts.map((part) => part[i]!);
    const before = Object.values(made ?? {}).map((tensor) => mul(reduceSum(tensor), 0));
    made = compute([before.reduce((a, b) => add(a, b), first!), ...others]);
    return made;
  });
}

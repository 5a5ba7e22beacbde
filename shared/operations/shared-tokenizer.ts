import { textsOf } from "../data/jsonl.ts";
import { requireSameTokenizer, transferTexts } from "../data/same-tokenizer.ts";
import type { TransferRequest } from "./transfer-request.ts";

/** @throws ProblemError if a student that was cut from the target reads the task's texts differently */
export async function requireSharedTokenizer({
  student,
  target,
  open,
  prompt,
  publicSet,
}: Omit<TransferRequest, "loss">): Promise<void> {
  if (open) return;
  const { task, initialisation } = prompt.manifest;
  await requireSameTokenizer(student.folder, target.folder, (maskToken) =>
    transferTexts(task, initialisation.text, textsOf(publicSet.file), maskToken),
  );
}

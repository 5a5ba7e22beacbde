import type { Travel } from "../shared/protocol/transfer.ts";

/** How well a prompt travelled, in words. */
export function describeTravel({ agreement, divergence, heldOut }: Travel): string {
  const percent = (100 * agreement).toFixed(1);
  return `student and target agree on ${percent} % of ${heldOut} held-out public texts (divergence ${divergence.toPrecision(3)})`;
}

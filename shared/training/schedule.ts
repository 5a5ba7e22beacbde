/**
 * The learning rate of a step: linear warm-up over the first part of a run, then linear decay to 0 at its end.
 * @param step counted from 0
 * @param warmup the part of the steps that warm up, 0 to 1
 */
export function linearSchedule(step: number, steps: number, peak: number, warmup: number): number {
  const rising = Math.ceil(steps * warmup);
  if (step < rising) return (peak * (step + 1)) / rising;
  return (peak * (steps - step)) / Math.max(1, steps - rising);
}

/**
 * The learning rate of a step: linear warm-up over the first part of a run, then half a cosine down to 0 at its end
 * (Loshchilov and Hutter 2017, equation 5, without restarts).
 * @param step counted from 0
 * @param warmup the part of the steps that warm up, 0 to 1
 */
export function cosineSchedule(step: number, steps: number, peak: number, warmup: number): number {
  const rising = Math.ceil(steps * warmup);
  if (step < rising) return (peak * (step + 1)) / rising;
  return (peak * (1 + Math.cos((Math.PI * (step - rising)) / Math.max(1, steps - rising)))) / 2;
}

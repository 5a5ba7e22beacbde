import { type Device, Engine } from "../shared/graph/engine.ts";
import { add } from "../shared/graph/operators/elementwise.ts";
import { input } from "../shared/graph/tensor.ts";
import { ProblemError } from "../shared/protocol/errors.ts";

/**
 * Computes a sum on the device, before anything is downloaded for it.
 *
 * @throws ProblemError if it can't be used: a job never falls back to the CPU, where it would take a hundred times as long
 */
export async function checkDevice(device: Device): Promise<void> {
  if (device === "cpu") return;
  const engine = new Engine({ device, threads: 1 });
  try {
    const x = input("x", "float32", [1]);
    const session = await engine.load({ outputs: { sum: add(x, x) } });
    await session.run({ x: { shape: [1], data: Float32Array.of(1) } });
  } catch (cause) {
    const detail = `The job asks for ${device.toUpperCase()}, which ONNX Runtime can't use here: ${(cause as Error).message}. The image must have its provider, the machine an NVIDIA GPU and its driver.`;
    throw new ProblemError("The device is missing", detail, { cause });
  } finally {
    await engine.close();
  }
}

/** Says whether the device can be used. @returns the exit code */
export async function tryDevice(device: Device): Promise<number> {
  const problem = await checkDevice(device).then(
    () => undefined,
    (error: Error) => error.message,
  );
  process.stdout.write(`${problem ?? `${device} can be used.`}\n`);
  return problem === undefined ? 0 : 1;
}

import { ProblemError } from "../protocol/errors.ts";
import { type Device, Engine } from "./engine.ts";
import { add } from "./operators/elementwise.ts";
import { input } from "./tensor.ts";

/** What a device needs. */
const NEEDS: Readonly<Record<Exclude<Device, "cpu">, string>> = {
  cuda: "It needs an NVIDIA GPU with its driver (580 or newer), CUDA 13 with cuDNN 9, and ONNX Runtime's CUDA provider, which its install script fetches (ONNXRUNTIME_NODE_INSTALL=cuda12, whichever CUDA it is for).",
  webgpu: "It needs a GPU, or software in its place, with a driver for Vulkan, Metal or Direct3D 12.",
};

/**
 * Computes a sum on the device, before anything is done for it.
 *
 * @throws ProblemError if it can't be used: nothing falls back to the CPU, where it would take a hundred times as long
 */
export async function checkDevice(device: Device): Promise<void> {
  if (device === "cpu") return;
  const engine = new Engine({ device, threads: 1 });
  try {
    const x = input("x", "float32", [1]);
    const session = await engine.load({ outputs: { sum: add(x, x) } });
    await session.run({ x: { shape: [1], data: Float32Array.of(1) } });
  } catch (cause) {
    const detail = `ONNX Runtime can't use ${device.toUpperCase()} here. ${NEEDS[device]} (${(cause as Error).message.trim()})`;
    throw new ProblemError("The device is missing", detail, { cause });
  } finally {
    await engine.close();
  }
}

import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { Runtime } from "../../../shared/graph/session-host.ts";

/** The part of onnxruntime-web that is taken. */
export interface OrtWeb {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: typeof Tensor;
}

/**
 * A browser's build of ONNX Runtime as an engine's runtime.
 *
 * @param readFile gives a weight file's bytes, which the runtime has no file system for
 */
export function webRuntime(
  ort: OrtWeb,
  readFile: (path: string) => Promise<Uint8Array>,
  device: "wasm" | "webgpu" = "wasm",
): Runtime {
  return {
    Tensor: ort.Tensor,
    // It copies a given tensor into its own memory, and nothing back.
    writesInPlace: false,
    async open({ bytes, weightFolder, weightFiles }, packed) {
      const externalData = await Promise.all(
        weightFiles.map(async (path) => ({ path, data: await readFile(`${weightFolder}/${path}`) })),
      );
      return ort.InferenceSession.create(bytes, {
        executionProviders: [device],
        logSeverityLevel: 3,
        enableMemPattern: false,
        externalData,
        ...(!packed && { extra: { session: { disable_prepacking: "1" } } }),
      });
    },
  };
}

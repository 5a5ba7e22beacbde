/** `softpost/prompt`: safetensors files and PEFT's folders of soft prompts, as bytes. Runs in browsers. */
export {
  type Adapter,
  type AdapterFiles,
  encodeAdapter,
  type PeftAdapter,
  parseAdapter,
  parsePromptTensor,
  promptEntry,
} from "../shared/prompt/adapter.ts";
export {
  encodeSafetensors,
  headerBytes,
  parseHeader,
  type SafetensorsHeader,
  type TensorData,
  type TensorEntry,
} from "../shared/prompt/safetensors.ts";
export { type Fault, ProblemError } from "../shared/protocol/errors.ts";
export { encodeManifest, type Manifest, parseManifest } from "../shared/protocol/manifest.ts";

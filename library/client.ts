/** `softpost/client`: a provider's API. Needs `fetch` and nothing of Node. */
export { Api as Client, type SentPrompt } from "../client/api/api.ts";
export type { Following } from "../client/api/events.ts";
export type { CompletionEvent, CompletionOptions, RemotePrediction } from "../client/api/inference.ts";
export type { Call, Connection } from "../client/api/transport.ts";
export type { PublicSet, Student } from "../shared/protocol/catalogue.ts";
export { type Fault, ProblemError } from "../shared/protocol/errors.ts";
export type { Manifest } from "../shared/protocol/manifest.ts";
export type { Usage } from "../shared/protocol/metering.ts";
export type { ServedModel } from "../shared/protocol/served-model.ts";
export type {
  Budget,
  Quote,
  ReleaseRecord,
  Transfer,
  TransferOptions,
  TransferPage,
} from "../shared/protocol/transfer.ts";
export type { Labels, Submission } from "../shared/submission/submission.ts";

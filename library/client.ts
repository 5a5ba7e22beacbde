/** `softpost/client`: a provider's API. Needs `fetch` and nothing of Node. */
export { Api as Client, type SentPrompt } from "../client/api/api.ts";
export type { Following } from "../client/api/events.ts";
export type { CompletionEvent, CompletionOptions, RemotePrediction } from "../client/api/inference.ts";
export type { Call, Connection } from "../client/api/transport.ts";
export type { Budget, ReleaseRecord } from "../shared/protocol/budget.ts";
export type { PublicSet, Student } from "../shared/protocol/catalogue.ts";
export { type Fault, ProblemError } from "../shared/protocol/errors.ts";
export type { Manifest } from "../shared/protocol/manifest.ts";
export type { Usage } from "../shared/protocol/metering.ts";
export type { Quote } from "../shared/protocol/quote.ts";
export type { ServedModel } from "../shared/protocol/served-model.ts";
export type { Transfer, TransferPage } from "../shared/protocol/transfer.ts";
export type { TransferOptions } from "../shared/protocol/transfer-options.ts";
export type { Labels, Submission } from "../shared/submission/submission.ts";

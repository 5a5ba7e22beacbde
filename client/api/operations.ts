import { budgetSchema, releaseListSchema } from "../../shared/protocol/budget.ts";
import { publicSetListSchema, studentListSchema, studentSchema } from "../../shared/protocol/catalogue.ts";
import { classifyAnswerSchema } from "../../shared/protocol/inference-answers.ts";
import { usageSchema } from "../../shared/protocol/metering.ts";
import { quoteSchema } from "../../shared/protocol/quote.ts";
import { modelListSchema, servedModelSchema } from "../../shared/protocol/served-model.ts";
import { transferPageSchema, transferSchema } from "../../shared/protocol/transfer.ts";

/**
 * What the client asks, and the schema of the answer, under the names of the provider's OpenAPI description. A test has the compiler hold the one against
 * the other.
 */
export const OPERATIONS = {
  listStudents: { method: "GET", path: "/v1/students", answer: studentListSchema },
  getStudent: { method: "GET", path: "/v1/students/{id}", answer: studentSchema },
  listPublicSets: { method: "GET", path: "/v1/public-sets", answer: publicSetListSchema },
  quoteTransfer: { method: "POST", path: "/v1/quotes", answer: quoteSchema },
  submitTransfer: { method: "POST", path: "/v1/transfers", answer: transferSchema },
  listTransfers: { method: "GET", path: "/v1/transfers", answer: transferPageSchema },
  getTransfer: { method: "GET", path: "/v1/transfers/{id}", answer: transferSchema },
  cancelTransfer: { method: "POST", path: "/v1/transfers/{id}/cancel", answer: transferSchema },
  deleteTransfer: { method: "DELETE", path: "/v1/transfers/{id}", answer: transferSchema },
  getBudget: { method: "GET", path: "/v1/budget", answer: budgetSchema },
  listReleases: { method: "GET", path: "/v1/releases", answer: releaseListSchema },
  getUsage: { method: "GET", path: "/v1/usage", answer: usageSchema },
  listModels: { method: "GET", path: "/v1/models", answer: modelListSchema },
  getModel: { method: "GET", path: "/v1/models/{id}", answer: servedModelSchema },
  classify: { method: "POST", path: "/v1/classify", answer: classifyAnswerSchema },
} as const;

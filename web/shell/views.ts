import type { ComponentType } from "preact";
import type { ViewProps } from "./view-props.ts";

/** A view of the console: an entry here is all that it takes. */
export interface View {
  readonly path: string;
  readonly name: string;
  readonly load: () => Promise<{ readonly default: ComponentType<ViewProps> }>;
  /** Whether it is shown without an API key. */
  readonly isOpen?: boolean;
}

export const VIEWS: readonly View[] = [
  { path: "catalogue", name: "Catalogue", load: () => import("../views/catalogue.tsx") },
  { path: "transfers", name: "Transfers", load: () => import("../views/transfers.tsx") },
  { path: "submit", name: "Submit a prompt", load: () => import("../views/submit.tsx") },
  { path: "tune", name: "Tune here", load: () => import("../tune/view.tsx") },
  { path: "budgets", name: "Budgets", load: () => import("../views/budgets.tsx") },
  { path: "playground", name: "Playground", load: () => import("../views/playground.tsx") },
  { path: "tenants", name: "Keys and tenants", load: () => import("../views/tenants.tsx"), isOpen: true },
];

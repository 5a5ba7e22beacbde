import type { ComponentType } from "preact";

export interface ViewProps {
  /** What stands in the address behind the view's name. */
  readonly rest: readonly string[];
}

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
  { path: "tune", name: "Tune here", load: () => import("../tune/view.tsx") },
];

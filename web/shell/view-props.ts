export interface ViewProps {
  /** What stands in the address behind the view's name. */
  readonly rest: readonly string[];
}

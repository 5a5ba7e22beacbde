import { useEffect, useState } from "preact/hooks";

/** Where the page is: the parts of what stands behind `#/`, such as `["transfers", "ID"]`. It never holds a key or a text. */
export function useRoute(): readonly string[] {
  const [route, setRoute] = useState(partsOf(location.hash));
  useEffect(() => {
    const change = () => setRoute(partsOf(location.hash));
    window.addEventListener("hashchange", change);
    return () => window.removeEventListener("hashchange", change);
  }, []);
  return route;
}

const partsOf = (hash: string) => hash.replace(/^#\/?/, "").split("/").filter(Boolean);

export function goTo(...parts: readonly string[]): void {
  location.hash = `#/${parts.join("/")}`;
}

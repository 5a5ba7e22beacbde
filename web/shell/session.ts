import { createContext } from "preact";
import { useContext, useState } from "preact/hooks";
import { Api } from "../../client/api/api.ts";
import type { Provider } from "./provider.ts";

/** The one thing that may outlive a page, and only if the user says so. */
const KEPT = "softpost-key";

/** Who is at the page, and with what provider. */
export interface Session {
  readonly provider: Provider;
  /** Undefined until a key was given. */
  readonly api: Api | undefined;
  /** @param keep it until the tab is closed, over reloads */
  readonly signIn: (key: string, keep: boolean) => void;
  readonly signOut: () => void;
}

const SessionContext = createContext<Session | undefined>(undefined);
export const SessionProvider = SessionContext.Provider;

/** Makes the session of a page. The key lies in memory. */
export function useNewSession(provider: Provider): Session {
  const [key, setKey] = useState(() => sessionStorage.getItem(KEPT) ?? undefined);
  const [made, setMade] = useState<Api>();
  // One for as long as the key stays: views load again when it is another one.
  if (key !== made?.connection.key) setMade(key === undefined ? undefined : apiWith(key));
  return {
    provider,
    api: made,
    signIn(given, keep) {
      if (keep) sessionStorage.setItem(KEPT, given);
      else sessionStorage.removeItem(KEPT);
      setKey(given);
    },
    signOut() {
      sessionStorage.removeItem(KEPT);
      setKey(undefined);
    },
  };
}

/** The API as the page reaches it: at what serves the page, which is the provider, or passes requests on to it. */
export function apiWith(key: string): Api {
  return new Api({ url: location.origin, key });
}

export function useSession(): Session {
  return useContext(SessionContext)!;
}

/** The API of views that are shown only with a key. */
export function useApi(): Api {
  return useSession().api!;
}

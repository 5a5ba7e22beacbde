import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../ui/button.tsx";
import { whenOnline } from "../ui/loaded.tsx";
import { Message } from "../ui/message.tsx";
import type { Provider } from "./provider.ts";
import { goTo, useRoute } from "./route.ts";
import { SessionProvider, useNewSession, useSession } from "./session.ts";
import { SignIn } from "./sign-in.tsx";
import type { ViewProps } from "./view-props.ts";
import { VIEWS, type View } from "./views.ts";

/** The whole page: the list of views, and the one that the address names. */
export function App({ provider }: { readonly provider: Provider }) {
  const session = useNewSession(provider);
  const [name = VIEWS[0]!.path, ...rest] = useRoute();
  const view = VIEWS.find(({ path }) => path === name);
  const heading = useRef<HTMLHeadingElement>(null);
  const first = useRef(true);
  const title = view?.name ?? "There is no such page";
  useEffect(() => {
    document.title = `${title} · softpost`;
    // Whoever can't see the page hears where it has gone; the first view is read from the top.
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [title, rest.join("/")]);
  return (
    <SessionProvider value={session}>
      <button type="button" class="skip button" onClick={() => heading.current?.focus()}>
        Skip to the view
      </button>
      <div class="frame">
        <header class="side">
          <p class="brand">softpost</p>
          <nav aria-label="Views">
            <ul>
              {VIEWS.map(({ path, name: shown }) => (
                <li key={path}>
                  <a href={`#/${path}`} aria-current={path === name ? "page" : undefined}>
                    {shown}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          <Foot />
        </header>
        <main class="main" id="main">
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          <Offline />
          {view ? (
            <Shown key={view.path} view={view} rest={rest} />
          ) : (
            <Message kind="warning">The address names no view.</Message>
          )}
        </main>
      </div>
    </SessionProvider>
  );
}

/** Who the provider is, and who serves the page. */
function Foot() {
  const { provider, api, signOut } = useSession();
  return (
    <div class="side-foot">
      <p class="quiet">
        {provider.url.host}
        <br />
        {provider.servedBy === "client" ? "Page from your own package" : "Page from the provider"}
      </p>
      {api && (
        <Button
          small
          onClick={() => {
            signOut();
            goTo();
          }}
        >
          Sign out
        </Button>
      )}
    </div>
  );
}

/** Says that the browser has no network, while that is so. */
function Offline() {
  const [isOnline, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const change = () => setOnline(navigator.onLine);
    const stop = new AbortController();
    window.addEventListener("online", change, stop);
    window.addEventListener("offline", change, stop);
    return () => stop.abort();
  }, []);
  return (
    <div role="status">
      {!isOnline && (
        <Message kind="warning" title="This browser is off line">
          <p>What is shown may be old; views load again when the network is back.</p>
        </Message>
      )}
    </div>
  );
}

/** A view, loaded when it is first opened, or the way to a key. */
function Shown({ view, rest }: { readonly view: View; readonly rest: readonly string[] }) {
  const { api } = useSession();
  const [Component, setComponent] = useState<ComponentType<ViewProps>>();
  const [isMissing, setMissing] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    const load = () =>
      view.load().then(
        (loaded) => stop.signal.aborted || setComponent(() => loaded.default),
        () => stop.signal.aborted || setMissing(true),
      );
    void load();
    whenOnline(load, stop.signal);
    return () => stop.abort();
  }, [view]);
  if (!api && !view.isOpen) return <SignIn />;
  if (isMissing && !Component) {
    return (
      <Message kind="error" title="This view couldn't be loaded">
        <p>Its script can't be had from where this page is from. When the network is back, load the page again.</p>
      </Message>
    );
  }
  return Component ? <Component rest={rest} /> : <p class="skeleton">Loading …</p>;
}

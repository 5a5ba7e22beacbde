import { render } from "preact";
import { App } from "./shell/app.tsx";
import { findProvider } from "./shell/provider.ts";
import { Problem } from "./ui/message.tsx";
import "./style/tokens.css";
import "./style/base.css";
import "./style/parts.css";

const root = document.getElementById("app")!;
findProvider().then(
  (provider) => render(<App provider={provider} />, root),
  (error) => render(<Problem error={error} />, root),
);

import type { ViewProps } from "../shell/view-props.ts";
import { TransferList } from "./transfers/list.tsx";
import { OneTransfer } from "./transfers/one.tsx";

/** All transfers, or the one whose id the address has. */
export default function Transfers({ rest: [id] }: ViewProps) {
  return id === undefined ? <TransferList /> : <OneTransfer key={id} id={id} />;
}

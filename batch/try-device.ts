import { checkDevice } from "../shared/graph/device.ts";
import type { Device } from "../shared/graph/engine.ts";

/** Says whether the device can be used. @returns the exit code */
export async function tryDevice(device: Device): Promise<number> {
  const problem = await checkDevice(device).then(
    () => undefined,
    (error: Error) => error.message,
  );
  process.stdout.write(`${problem ?? `${device} can be used.`}\n`);
  return problem === undefined ? 0 : 1;
}

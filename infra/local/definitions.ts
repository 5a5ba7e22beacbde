import { BatchClient, RegisterJobDefinitionCommand } from "@aws-sdk/client-batch";

/**
 * Registers a definition for every kind of job, `softpost-transfer` and so on. A job that ends with code 2 says that trying again is of no
 * use.
 *
 * @param job the file that runs a job (batch/main.ts)
 * @param environment what it is told (batch/environment.ts)
 */
export async function defineJobs(
  endpoint: string,
  credentials: { accessKeyId: string; secretAccessKey: string },
  job: string,
  environment: Record<string, string>,
): Promise<void> {
  const client = new BatchClient({ region: "local", endpoint, credentials });
  for (const kind of ["transfer", "distill", "predict"]) {
    await client.send(
      new RegisterJobDefinitionCommand({
        jobDefinitionName: `softpost-${kind}`,
        type: "container",
        containerProperties: {
          image: "local",
          command: [process.execPath, job, kind, "Ref::spec"],
          environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
        },
        retryStrategy: {
          attempts: 10,
          evaluateOnExit: [
            { onStatusReason: "Host EC2*", action: "RETRY" },
            { onExitCode: "2", action: "EXIT" },
            { onExitCode: "1*", action: "RETRY" },
            { onReason: "*", action: "EXIT" },
          ],
        },
      }),
    );
  }
}

import { BatchClient, RegisterJobDefinitionCommand } from "@aws-sdk/client-batch";
import { ATTEMPTS, definitionName, jobArguments, kinds, retryRules } from "../definitions.ts";

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
  for (const kind of kinds) {
    await client.send(
      new RegisterJobDefinitionCommand({
        jobDefinitionName: definitionName("softpost", kind),
        type: "container",
        containerProperties: {
          image: "local",
          command: [process.execPath, job, ...jobArguments(kind)],
          environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
        },
        retryStrategy: { attempts: ATTEMPTS, evaluateOnExit: [...retryRules] },
      }),
    );
  }
}

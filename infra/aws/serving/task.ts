import { Duration, type Stack } from "aws-cdk-lib";
import * as ecs from "aws-cdk-lib/aws-ecs";
import { addImagesAndLog } from "../images.ts";
import { JOB_USER, SCRATCH } from "../machines.ts";
import type { Settings } from "../settings.ts";
import type { ServingInputs } from "./inputs.ts";

const PORT = 8790;
const VLLM_PORT = 8000;
/** Answers under way when a task is stopped may take as long; ECS allows 120 seconds. */
const DRAIN_SECONDS = 100;
/** Of the machine's 15 GiB, in MiB. The model's weights are read through the page cache, which isn't counted. */
const MEMORY = { fetch: 512, vllm: 11_000, serving: 2048, tunnel: 256 } as const;
/** Where the target lies, whatever its digest. */
const MODEL = `${SCRATCH}/models/served`;

/**
 * A task: the target is fetched, vLLM loads it, the serving process stands in front, and Cloudflare's tunnel brings the Worker's requests to it.
 * Within a task all listen on loopback.
 */
export function addServingTask(stack: Stack, settings: Settings, inputs: ServingInputs) {
  const { prefix, version, publicUrl } = settings;
  const { repository, logGroup } = addImagesAndLog(stack, settings, "serving");
  const task = new ecs.Ec2TaskDefinition(stack, "Task", {
    family: `${prefix}-serving`,
    networkMode: ecs.NetworkMode.AWS_VPC,
    volumes: [{ name: "scratch", host: { sourcePath: SCRATCH } }],
  });
  inputs.grantRead(task.taskRole);
  const logging = (streamPrefix: string) => ecs.LogDriver.awsLogs({ logGroup, streamPrefix });
  const mount = (container: ecs.ContainerDefinition, readOnly: boolean) =>
    container.addMountPoints({ sourceVolume: "scratch", containerPath: SCRATCH, readOnly });
  const own = {
    image: ecs.ContainerImage.fromEcrRepository(repository, version),
    readonlyRootFilesystem: true,
    user: JOB_USER,
    environment: {
      ...inputs.environment,
      SERVING_BACKEND: "vllm",
      SERVING_TARGET: inputs.target,
      SERVING_DRAIN_SECONDS: String(DRAIN_SECONDS),
      VLLM_URL: `http://127.0.0.1:${VLLM_PORT}`,
      VLLM_MODEL: "target",
      REPORT_URL: `${publicUrl}/internal/usage`,
      HOST: "127.0.0.1",
      PORT: String(PORT),
    },
    secrets: { ...inputs.secrets, SERVING_SECRET: ecs.Secret.fromSecretsManager(inputs.servingSecret) },
  };
  const fetch = task.addContainer("fetch", {
    ...own,
    command: ["fetch", MODEL],
    essential: false,
    memoryLimitMiB: MEMORY.fetch,
    logging: logging("fetch"),
  });
  mount(fetch, false);
  const vllm = task.addContainer("vllm", {
    image: ecs.ContainerImage.fromRegistry(inputs.vllmImage),
    command: [
      ...["--model", MODEL, "--served-model-name", "target", "--enable-prompt-embeds"],
      ...["--host", "127.0.0.1", "--port", String(VLLM_PORT)],
      // What is asked is nobody's business but the client's.
      ...["--no-enable-log-requests", "--disable-uvicorn-access-log"],
    ],
    environment: { HF_HUB_OFFLINE: "1", VLLM_NO_USAGE_STATS: "1", DO_NOT_TRACK: "1" },
    gpuCount: 1,
    memoryLimitMiB: MEMORY.vllm,
    logging: logging("vllm"),
    healthCheck: check(`curl -sf http://127.0.0.1:${VLLM_PORT}/health || exit 1`),
  });
  mount(vllm, true);
  const serving = task.addContainer("serving", {
    ...own,
    memoryLimitMiB: MEMORY.serving,
    stopTimeout: Duration.seconds(DRAIN_SECONDS + 20),
    logging: logging("serving"),
    healthCheck: check(
      `node -e "fetch('http://127.0.0.1:${PORT}/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"`,
    ),
  });
  mount(serving, false);
  const tunnel = task.addContainer("tunnel", {
    image: ecs.ContainerImage.fromRegistry(inputs.tunnelImage),
    command: ["tunnel", "--no-autoupdate", "run"],
    secrets: { TUNNEL_TOKEN: ecs.Secret.fromSecretsManager(inputs.tunnelToken) },
    memoryLimitMiB: MEMORY.tunnel,
    logging: logging("tunnel"),
  });
  vllm.addContainerDependencies({ container: fetch, condition: ecs.ContainerDependencyCondition.SUCCESS });
  serving.addContainerDependencies({ container: vllm, condition: ecs.ContainerDependencyCondition.HEALTHY });
  tunnel.addContainerDependencies({ container: serving, condition: ecs.ContainerDependencyCondition.HEALTHY });
  return { task, repository };
}

/** A model of 14 GB takes minutes to be read: five of them may pass before failures count, and ten more. */
function check(command: string): ecs.HealthCheck {
  return {
    command: ["CMD-SHELL", command],
    interval: Duration.seconds(30),
    timeout: Duration.seconds(10),
    retries: 10,
    startPeriod: Duration.seconds(300),
  };
}

/** The figure that a serving process on AWS writes of its requests, running and waiting, once a minute; the number of tasks follows it (infra/aws/serving). */
export const LEVELS_METRIC = { namespace: "softpost", metricName: "servingRequests" } as const;

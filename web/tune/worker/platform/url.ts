/** What memfs takes of Node's url: paths are given as strings here. */
export const fileURLToPath = (url: URL | string) => new URL(url).pathname;
export const pathToFileURL = (path: string) => new URL(`file://${path}`);

/** The release that this is of; a test compares it with package.json, which a Worker doesn't have. */
export const RELEASE = "0.1.0";

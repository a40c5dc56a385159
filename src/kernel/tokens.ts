/** Injection tokens of what has no class of its own. */
export const CLOCK = Symbol('CLOCK');
/** The id of the runner that this gateway steers. */
export const RUNNER_ID = Symbol('RUNNER_ID');
/** The name of this gateway's audit chain; no two gateways on one database have the same at once. */
export const NODE_NAME = Symbol('NODE_NAME');

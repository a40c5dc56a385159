/**
 * A client for one session of a Gatehouse server, for browsers and Node: docs/client.md.
 */
export { AttachmentClient, type SignalName } from './attachment-client.js';
export type { End } from './end.js';
export { AttachError, type AttachErrorFacts, type AttachErrorReason } from './errors.js';
export { MAX_KEPT_BYTES } from './input-buffer.js';
export type { Typed } from './input-stream.js';
export type { Mode, Participant } from './messages.js';
export type { Attached, AttachListener, AttachOptions, Credential, Refusal, Size } from './options.js';
export type { Snapshot } from './snapshot.js';
export { type ClientSocket, openGlobalSocket, type OpenSocket, type SocketEvents } from './socket.js';
export { systemTiming, type Timing } from './timing.js';

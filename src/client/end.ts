import type { AttachError } from './errors.js';

/** How an attachment ended. The session lives on but for `exited`. */
export type End =
  | {
      readonly kind: 'exited';
      readonly exitCode: number | null;
      /** Such as `SIGKILL`; null when the program ended by itself. */
      readonly signal: string | null;
      /** `exited`, or who ended it. */
      readonly reason: string;
    }
  | { readonly kind: 'detached' }
  | { readonly kind: 'failed'; readonly error: AttachError };

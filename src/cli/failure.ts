import { mask } from '../kernel/mask.js';

/** Something the user can do something about: a sentence, without a stack. */
export class Failure extends Error {
  /** @param status exit status of the command */
  constructor(
    message: string,
    readonly status = 1,
  ) {
    super(message);
    this.name = 'Failure';
  }
}

/** The command line itself was wrong; the help that tells how it is right is named behind the sentence. */
export class UsageError extends Failure {
  constructor(message: string) {
    super(message, 2);
  }
}

/** Control characters, and those that turn the direction of writing or begin a line without being one. */
const UNSHOWN = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** Text of the server's without control characters: a session's name must not drive the reader's terminal. */
export const plain = (text: string): string => text.replace(UNSHOWN, '\ufffd');

/** The one way a failure is told: whatever was in an argument, an address or an answer, no secret and no escape character. */
export function complain(text: string): void {
  process.stderr.write(`gatehouse: ${plain(mask(text))}\n`);
}

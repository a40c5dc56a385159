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

/** The command line itself was wrong. */
export class UsageError extends Failure {
  constructor(message: string) {
    super(`${message}; see \`gatehouse help\``, 2);
  }
}

/** Text of the server's without control characters: a session's name must not drive the reader's terminal. */
export const plain = (text: string): string => text.replace(/\p{Cc}/gu, '�');

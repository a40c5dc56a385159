import type { DestinationStream } from 'pino';
import pretty, { type PrettyOptions } from 'pino-pretty';

const OPTIONS: PrettyOptions = {
  colorize: process.stdout.isTTY,
  translateTime: 'SYS:HH:MM:ss',
  ignore: 'pid,hostname',
  singleLine: true,
  sync: true,
};

/**
 * The log for a person at a terminal: one short sentence for an audit event, whose fields are all in the table, and
 * message and fields for everything else. Takes lines of JSON, as pino writes them.
 */
export function readableLog(): DestinationStream {
  const others = pretty(OPTIONS);
  const events = pretty({ ...OPTIONS, hideObject: true, messageFormat: auditSentence });
  return {
    write: (line) => {
      (line.includes('"audit":true') ? events : others).write(line);
    },
  };
}

/** `audit pty.start session:01a1… by alice over rest`, or with ` refused: FORBIDDEN` in it. */
function auditSentence(event: Record<string, unknown>): string {
  const { action, resource, success, reason, user_id: user, transport } = event;
  const words = [
    'audit',
    action,
    resource,
    success === false ? 'refused:' : null,
    reason,
    'by',
    user,
    'over',
    transport,
  ];
  return words.filter((word) => typeof word === 'string').join(' ');
}

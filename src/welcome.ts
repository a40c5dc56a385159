import type { Config } from './config/load.js';

export interface Welcome {
  readonly config: Config;
  /** Where REST and WebSocket listen. */
  readonly http: string;
  /** The certificate of this server, if nobody else vouches for it; else null. */
  readonly ownAuthority: string | null;
  /** The first administrator's key, only when it was made by this start. */
  readonly firstKey: string | null;
  /** Where the embedded database keeps its files; null when the database is somebody else's. */
  readonly database: string | null;
}

/**
 * Shows the first administrator's key. Like all that is said here it goes to the terminal and not through the logger,
 * which would mask it.
 */
export function showFirstKey(key: string): void {
  process.stdout.write(`\nThe administrator’s API key. It is shown this once; keep it safe:\n  ${key}\n`);
}

/** What a person reads after `npm start`. */
export function welcome(said: Welcome): void {
  const { config, http, firstKey, database } = said;
  const lines = [
    '',
    `Gatehouse is ready.`,
    `  REST, WebSocket  ${http}`,
    `  gRPC             ${config.HOST}:${config.GRPC_PORT}${config.TLS_ENABLED ? ', over TLS' : ''}`,
    `  data             ${config.dataDir}${database === null || database.startsWith(config.dataDir) ? '' : `, ${database}`}`,
    '',
    firstKey === null ? 'Open a terminal:' : 'Open a first terminal, in another window:',
    `  ${variables(said)}GATEHOUSE_TOKEN=${firstKey ?? '<your key>'} npx gatehouse run`,
  ];
  process.stdout.write(`${lines.join('\n')}\n\n`);
}

/** What the command line has to be told of this server; nothing of one that is where it is looked for. */
const variables = ({ http, ownAuthority }: Welcome): string =>
  (ownAuthority === null ? '' : `NODE_EXTRA_CA_CERTS=${ownAuthority} `) +
  (http === 'http://127.0.0.1:8080' ? '' : `GATEHOUSE_URL=${http} `);

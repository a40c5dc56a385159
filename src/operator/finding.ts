/** Everything that `gatehouse doctor` looks at, and why it matters. The ids are stable: scripts match on them. */
export const CHECKS = {
  'config.valid': 'A gateway with a wrong configuration does not start.',
  'config.mode': 'Outside production a .env file is read and secrets are made where none are given.',
  'access.platform_admins': 'Who is named in PLATFORM_ADMINS reaches what is of all tenants.',
  'access.first_key':
    'The key that the first start printed stood in a terminal and perhaps in a log, and can do everything.',
  'secrets.auth_secret': 'Who knows or guesses AUTH_SECRET signs tokens in the name of anybody.',
  'secrets.auth_secret_previous': 'The secret of before still vouches for tokens: who has it signs as anybody.',
  'secrets.master_key':
    'Stored secrets are sealed under ENCRYPTION_MASTER_KEY; without it they cannot be read or kept.',
  'secrets.master_key_previous':
    'The key of before still opens what is sealed, and what it sealed is lost when it goes.',
  'secrets.sealed': 'A secret that cannot be opened does not work where it is needed.',
  'secrets.alerts': 'Alerts to an address that is in no stored secret are lost.',
  'files.data_dir':
    'Who may write DATA_DIR puts files of their own in the place of secrets; who may read it sees what there is.',
  'files.secrets': 'Who can read a key or secret can use it.',
  'files.env': 'A .env file has secrets in it.',
  'network.bind': 'Whatever is sent without TLS, credentials and keystrokes too, can be read and changed on its way.',
  'network.proxies': 'Who is believed about addresses chooses the address that limits, lists and the audit trail see.',
  'tls.certificate': 'Nobody can connect with a certificate that has ended, or is not the key’s.',
  'tls.key': 'Who can read the key of a certificate can pass for the server.',
  'tls.runner': 'Without valid certificates the gateway does not reach its runner.',
  'database.reachable': 'Without its database the gateway lets nobody in.',
  'database.version': 'Gatehouse is tested with PostgreSQL 15 to 18.',
  'database.role': 'Row-level security, which keeps tenants apart a second time, does not bind a superuser.',
  'database.audit_tables':
    'Who may alter the tables of the audit trail can switch off what keeps it from being changed.',
  'database.tls': 'Password and rows can be read on the way to a database without TLS.',
  'database.clock': 'Tokens, limits and the order of the audit trail rest on clocks that agree.',
  'database.migrations': 'A gateway needs the tables of its version.',
  'machine.node': 'Older versions of Node.js lack what Gatehouse is built on, and get no more fixes.',
  'machine.git': 'Worktrees are made with git.',
  'machine.sandbox': 'Sessions are asked to run in a sandbox, which is made by bubblewrap.',
  'machine.root': 'Sessions run as the gateway’s user: whoever may start one is root.',
  'machine.open_files': 'Each connection and terminal takes a file descriptor; without one it is refused.',
  'machine.disk': 'On a full disk nothing is recorded, and what changes something is refused.',
} as const;

export type CheckId = keyof typeof CHECKS;
export type State = 'ok' | 'warning' | 'problem' | 'skipped';

/** What came of one check. */
export interface Finding {
  readonly id: CheckId;
  readonly state: State;
  /** What was found; never a secret. */
  readonly what: string;
  /** Why it matters; empty when nothing is wrong. */
  readonly why: string;
  /** What to do; empty when nothing is wrong. */
  readonly mend: string;
}

const wrong =
  (state: 'warning' | 'problem') =>
  (id: CheckId, what: string, mend: string): Finding => ({ id, state, what, why: CHECKS[id], mend });

export const problem = wrong('problem');
export const warning = wrong('warning');
export const ok = (id: CheckId, what: string): Finding => ({ id, state: 'ok', what, why: '', mend: '' });
/** Not looked at, and why. */
export const skipped = (id: CheckId, what: string): Finding => ({ id, state: 'skipped', what, why: '', mend: '' });

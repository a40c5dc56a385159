import type { Config } from '../../config/load.js';
import { type CheckId, type Finding, ok, problem, skipped, warning } from '../finding.js';
import type { DatabaseFacts, DatabaseView } from './database-facts.js';
import { isLoopback } from './loopback.js';

const [OLDEST, NEWEST] = [15, 18];
const CLOCK_WARNING_MS = 5000;
const CLOCK_PROBLEM_MS = 60_000;
const GUIDE = 'docs/database-login.md has the steps.';

/** What needs an answer of the database. */
const ASKED: readonly CheckId[] = [
  ...(['database.version', 'database.role', 'database.audit_tables', 'database.clock'] as const),
  ...(['database.migrations', 'access.first_key'] as const),
];

export function database(config: Config, view: DatabaseView): Finding[] {
  const common = [reachable(config, view), transport(config)];
  if (view.state === 'away') return [...common, ...ASKED.map((id) => skipped(id, 'the database does not answer'))];
  const { embedded, facts } = view;
  return [
    ...common,
    version(facts),
    role(embedded, facts),
    auditTables(embedded, facts),
    clock(facts),
    migrations(facts),
    firstKey(facts),
  ];
}

function reachable({ production }: Config, view: DatabaseView): Finding {
  const id = 'database.reachable';
  const kind = view.embedded ? 'the embedded PostgreSQL' : 'the PostgreSQL of DATABASE_URL';
  if (view.state === 'answers') {
    if (!view.embedded || !production) return ok(id, `${kind} answers`);
    const mend = 'Give DATABASE_URL, and look after backups there.';
    return warning(id, `${kind} answers, in production: nobody backs it up or watches it for you`, mend);
  }
  // It is started and stopped with the gateway.
  if (view.embedded) return skipped(id, `${kind} does not answer, as when the gateway does not run: ${view.fault}`);
  return problem(id, `${kind} cannot be used: ${view.fault}`, 'Look at DATABASE_URL, and whether PostgreSQL runs.');
}

/** The host that is connected to: that of the address, or what `host=` says in it; of a wrong address, words for it. */
function hostOf(address: string): string {
  try {
    const { hostname, searchParams } = new URL(address);
    return searchParams.get('host') ?? decodeURIComponent(hostname);
  } catch {
    return 'its host';
  }
}

function transport({ DATABASE_URL: address, DATABASE_SSL_MODE: ssl }: Config): Finding {
  const id = 'database.tls';
  if (address === undefined) return ok(id, 'the embedded PostgreSQL is on a socket of this machine');
  const host = hostOf(address);
  if (isLoopback(host)) return ok(id, 'the database is on this machine');
  const mend = 'Set DATABASE_SSL_MODE=verify-full; NODE_EXTRA_CA_CERTS names the authority, when it is your own.';
  if (ssl === 'disable') return problem(id, `no TLS to the database on ${host}`, mend);
  if (ssl === 'verify-full') return ok(id, `TLS to the database on ${host}, its certificate and name checked`);
  return warning(id, `DATABASE_SSL_MODE=${ssl} does not make sure that it is ${host} that answers`, mend);
}

function version({ version: found }: DatabaseFacts): Finding {
  const major = Math.floor(found / 10_000);
  const what = `PostgreSQL ${major}.${found % 10_000}`;
  if (major < OLDEST) return problem('database.version', what, `Upgrade to PostgreSQL ${OLDEST} or newer.`);
  if (major > NEWEST) return warning('database.version', what, `Gatehouse was not tried with it: use ${NEWEST}.`);
  return ok('database.version', what);
}

function role(embedded: boolean, { bypasses, superuser }: DatabaseFacts): Finding {
  const id = 'database.role';
  if (!bypasses) return ok(id, 'row-level security binds the login');
  if (embedded) return ok(id, 'the gateway works as gatehouse_app, which row-level security binds');
  const what = superuser ? 'the login is a superuser' : 'the login has BYPASSRLS';
  return warning(id, `${what}; the gateway works as gatehouse_app`, `Give it a login of its own. ${GUIDE}`);
}

function auditTables(embedded: boolean, { altersAudit }: DatabaseFacts): Finding {
  const id = 'database.audit_tables';
  if (altersAudit === null) return skipped(id, 'there are no tables yet');
  if (!altersAudit) return ok(id, 'the login may only write and read the audit trail');
  if (embedded) return skipped(id, 'the embedded PostgreSQL has one login; a signed trail shows what is changed');
  return warning(
    id,
    'the login may alter the tables of the audit trail',
    `Run it with one that owns nothing. ${GUIDE}`,
  );
}

function clock({ clockAheadMs: ahead }: DatabaseFacts): Finding {
  const id = 'database.clock';
  const seconds = (Math.abs(ahead) / 1000).toFixed(1);
  const what = `the clocks differ by ${seconds} s`;
  if (Math.abs(ahead) <= CLOCK_WARNING_MS) return ok(id, what);
  const mend = 'Let both machines set their clocks by NTP.';
  return (Math.abs(ahead) > CLOCK_PROBLEM_MS ? problem : warning)(id, what, mend);
}

function migrations({ migrations: run, known }: DatabaseFacts): Finding {
  const id = 'database.migrations';
  if (run === null) return skipped(id, 'there are no tables yet, or the login may not read which; a start makes them');
  const newer = run.filter((name) => !known.includes(name));
  if (newer.length > 0) {
    const mend = 'Run the version that made them, or a newer one.';
    return problem(id, `the tables are of another version: ${newer.join(', ')}`, mend);
  }
  const pending = known.filter((name) => !run.includes(name));
  if (pending.length === 0) return ok(id, 'the tables are of this version');
  const mend = 'Start a gateway of this version with a login that owns the tables.';
  return warning(id, `not run yet: ${pending.join(', ')}`, mend);
}

function firstKey({ firstKey: good }: DatabaseFacts): Finding {
  const id = 'access.first_key';
  if (good === null) return skipped(id, 'there are no keys to look at');
  if (!good) return ok(id, 'the key of the first start is not good any more');
  const mend =
    'Make keys and bindings for who needs them, then `gatehouse key revoke "first administrator" --reason replaced`.';
  return warning(id, 'the key that the first start printed still is an administrator’s', mend);
}

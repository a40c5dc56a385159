import { randomUUID } from 'node:crypto';
import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Api } from './api.js';
import { verify, VERIFY_HELP } from './audit-verify.js';
import { FILTER_FLAGS, filtersOf } from './audit-filters.js';
import { JSON_FLAG, none, parsed, wholeNumber } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { linesOf, sentEvents } from './event-lines.js';
import { Failure, plain, UsageError } from './failure.js';
import type { Noun } from './noun.js';
import { jsonLine, tell } from './output.js';
import { type Column, table } from './table.js';

const HELP = `What happened, and who did it. Your tenant's events; reading them is an event too.

Usage: gatehouse audit <command> [filters]

  tail [--json]             events as they happen, on all gateways, until Ctrl-C
  search [--limit N] [--json]
                            events that happened, newest first; 50 of them without --limit
  export [--format ndjson|csv] [--out FILE]
                            all of them, to a FILE that only you can read, or to a pipe
${VERIFY_HELP}

Filters: --user U  --action pty.start or 'pty.*'  --resource session:ID  --success true|false  --level info|warn|error
         --from T  --to T  --address A  --request ID  --text 'words, all of which are there'

T is a time like 2030-01-31T12:00:00Z, or how long ago: 45s, 15m, 12h, 30d. With --json each event is a line of JSON.
tail and search take the permission audit:read, export takes audit:export, verify audit:verify.`;

export const AUDIT: Noun = { help: HELP, verbs: { tail, search, export: exportEvents, verify } };

const DEFAULT_LIMIT = 50;
const PAGE = 100;
/** An event has 8 KiB of metadata, and little else. */
const MAX_LINE = 1024 * 1024;

/** What is shown of an event. */
interface Event {
  readonly timestamp: string;
  readonly user_id: string;
  readonly action: string;
  readonly resource: string | null;
  readonly success: boolean;
  readonly reason: string | null;
  readonly remote_addr: string;
}

const COLUMNS: readonly Column<Event>[] = [
  { heading: 'TIME', of: ({ timestamp }) => `${timestamp.slice(0, 23)}Z` },
  { heading: 'USER', of: ({ user_id }) => user_id, shrinks: true },
  { heading: 'ACTION', of: ({ action }) => action },
  { heading: 'RESOURCE', of: ({ resource }) => resource ?? '-', shrinks: true },
  { heading: 'OUTCOME', of: outcomeOf },
  { heading: 'ADDRESS', of: ({ remote_addr }) => remote_addr },
];

function outcomeOf({ success, reason }: Event): string {
  return success ? 'ok' : `failed ${reason ?? ''}`.trimEnd();
}

/** `gatehouse audit search`. */
async function search(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...FILTER_FLAGS, limit: { type: 'string' }, ...JSON_FLAG });
  none(positionals, 'search takes filters only; --text searches for words');
  const wanted = values.limit === undefined ? DEFAULT_LIMIT : wholeNumber('--limit', values.limit);
  const filters = filtersOf(values, Date.now());
  const api = new Api(loadCredentials());
  let [left, cursor]: [number, string | null] = [wanted, null];
  let found = 0;
  do {
    const query = new URLSearchParams({
      ...filters,
      limit: String(Math.min(left, PAGE)),
      ...(cursor ? { cursor } : {}),
    });
    const page = (await api.call('GET', `/audit/events?${query.toString()}`)) as Record<string, unknown>;
    const items = page['items'];
    if (!Array.isArray(items)) throw api.stranger();
    const events = items.map((item) => eventOf(api, item));
    if (values.json) for (const event of events) console.log(jsonLine(event));
    else if (events.length > 0) console.log(table(COLUMNS, events, undefined, { heading: found === 0 }));
    found += events.length;
    left -= events.length;
    cursor = typeof page['next_cursor'] === 'string' ? page['next_cursor'] : null;
  } while (cursor !== null && left > 0);
  if (found === 0) tell('no such events');
  return 0;
}

/** `gatehouse audit tail`. */
async function tail(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...FILTER_FLAGS, ...JSON_FLAG });
  none(positionals, 'tail takes filters only');
  const api = new Api(loadCredentials());
  const query = new URLSearchParams(filtersOf(values, Date.now()));
  const body = await api.stream(`/audit/events/stream?${query.toString()}`);
  for await (const { kind, data } of sentEvents(linesOf(body, MAX_LINE))) {
    if (kind === 'end') throw ended(data);
    const event = eventOf(api, data);
    console.log(values.json ? jsonLine(event) : shown(event));
  }
  throw new Failure('the server hung up');
}

/** `gatehouse audit export`. */
async function exportEvents(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    ...FILTER_FLAGS,
    format: { type: 'string', default: 'ndjson' },
    out: { type: 'string' },
  });
  none(positionals, 'export takes filters only');
  const { format, out } = values;
  if (format !== 'ndjson' && format !== 'csv') throw new UsageError('--format takes ndjson or csv');
  // An export is as it is, and what is in it may drive a terminal.
  if (out === undefined && process.stdout.isTTY) throw new UsageError('give --out FILE, or lead the output elsewhere');
  const query = new URLSearchParams({ ...filtersOf(values, Date.now()), format });
  const body = await new Api(loadCredentials()).stream(`/audit/export?${query.toString()}`);
  if (out === undefined) await pipeline(Readable.from(body), process.stdout, { end: false });
  else await toFile(body, out);
  return 0;
}

/** The file is whole or not there, and nobody else's to read at any time. */
async function toFile(body: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const made = `${path}.${randomUUID()}`;
  try {
    await pipeline(Readable.from(body), createWriteStream(made, { mode: 0o600, flags: 'wx' }));
    renameSync(made, path);
  } catch (error) {
    rmSync(made, { force: true });
    if (error instanceof Failure) throw error;
    throw new Failure(`${path} cannot be written: ${error instanceof Error ? error.message : 'unknown'}`);
  }
}

/** One line, whoever may have put what into a field. */
function shown(event: Event): string {
  return COLUMNS.map(({ of }) => plain(of(event))).join('  ');
}

function ended(data: unknown): Failure {
  const { code, message } = Object(data) as Record<string, unknown>;
  return new Failure(`${plain(String(message))} (${plain(String(code))})`);
}

/** @throws Failure when it is none */
function eventOf(api: Api, value: unknown): Event {
  const event = Object(value) as Record<string, unknown>;
  const texts = ['timestamp', 'user_id', 'action', 'remote_addr'].map((name) => event[name]);
  if (!texts.every((text) => typeof text === 'string')) throw api.stranger();
  return value as Event;
}

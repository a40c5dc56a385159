import { Api } from './api.js';
import { JSON_FLAG, none, parsed } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { printJson } from './output.js';
import { facts } from './table.js';
import { parsePast } from './times.js';

export const VERIFY_HELP = `  verify [--from T] [--to T] [--json]
                            walk the whole trail, or what is needed to be sure of a time, and say what is wrong with
                            it first; ends with 0 when nothing is, 1 when something is, and 2 when there is no answer`;

/** The server may walk millions of events before it says a word; its runtime waits five minutes for that. */
const LIMIT_MS = 295_000;

interface Answer {
  readonly ok?: unknown;
  readonly problem?: unknown;
  readonly counts?: unknown;
}

/** `gatehouse audit verify`. */
export async function verify(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { from: { type: 'string' }, to: { type: 'string' }, ...JSON_FLAG });
  none(positionals, 'verify takes flags only, such as --from T');
  const period = { ...timeOf('from', values.from), ...timeOf('to', values.to) };
  const api = new Api(loadCredentials());
  const answer = (await api.call('POST', '/audit/verify', period, LIMIT_MS)) as Answer;
  const { ok, problem, counts } = answer;
  if (typeof ok !== 'boolean' || !isRecord(counts) || ok === isRecord(problem)) throw api.stranger();
  if (values.json) printJson(answer);
  else
    console.log(`${isRecord(problem) ? wrong(problem) : 'The audit trail is as it was written.'}\n\n${told(counts)}`);
  return ok ? 0 : 1;
}

const timeOf = (name: 'from' | 'to', text: string | undefined): Record<string, string> =>
  text === undefined ? {} : { [name]: parsePast(`--${name}`, text, Date.now()) };

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** The names of figures, as a person reads them. */
const FIGURES: readonly (readonly [name: string, words: string])[] = [
  ['events', 'events'],
  ['nodes', 'gateways'],
  ['checkpoints', 'checkpoints'],
  ['checkpoints_elsewhere', 'checkpoints in the file'],
  ['unsigned', 'events not signed yet'],
  ['pruned', 'events past retention'],
  ['unchained', 'events without proof'],
];

const told = (counts: Record<string, unknown>): string =>
  facts(FIGURES.flatMap(([name, words]) => (typeof counts[name] === 'number' ? [[words, String(counts[name])]] : [])));

function wrong(problem: Record<string, unknown>): string {
  const lines: [string, string][] = ['kind', 'node', 'seq', 'id', 'detail'].flatMap((name) => {
    const value = problem[name];
    return typeof value === 'string' || typeof value === 'number' ? [[name, String(value)]] : [];
  });
  return `THE AUDIT TRAIL IS NOT AS IT WAS WRITTEN. The first thing that is wrong:\n\n${facts(lines)}`;
}

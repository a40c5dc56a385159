import { mask } from '../kernel/mask.js';
import { isSecretReference } from '../kernel/secret-name.js';
import { Api } from './api.js';
import { JSON_FLAG, none, only, parsed } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { plain, UsageError } from './failure.js';
import type { Noun } from './noun.js';
import { printJson, tell } from './output.js';
import { readHidden } from './prompt.js';
import { type Column, table } from './table.js';
import { relativeText } from './times.js';

const HELP = `Secrets that the server keeps sealed and uses for you; nobody gets one back.

Usage: gatehouse secrets <command>

  set NAME                  keep what is on standard input, or typed without being shown, under a name;
                            what was there before is replaced
  list [--json]             names, and when they were set
  delete NAME…              remove some for good
  rekey [--all-tenants] [--json]
                            seal what is under another master key anew under the current one, see
                            docs/rotating-secrets.md; can be broken off and run again. --all-tenants is for those
                            whom PLATFORM_ADMINS names. Ends with 1 when something could not be opened`;

export const SECRETS: Noun = { help: HELP, verbs: { set, list, delete: remove, rekey } };

/** A stored secret as REST shows it. Times are RFC 3339. */
interface Secret {
  readonly name: string;
  readonly updated_by: string;
  readonly updated_at: string;
  readonly key_id: string;
  readonly readable: boolean;
}

const COLUMNS: readonly Column<Secret>[] = [
  { heading: 'NAME', of: ({ name }) => name },
  { heading: 'SET', of: ({ updated_at: at }) => relativeText(at, Date.now()) },
  { heading: 'BY', of: ({ updated_by: by }) => by, shrinks: true },
  { heading: 'MASTER KEY', of: ({ key_id: id, readable }) => (readable ? id : `${id}, not on this server`) },
];

const api = (): Api => new Api(loadCredentials());

/** `gatehouse secrets set`. */
async function set(args: string[]): Promise<number> {
  const name = nameOf(only(parsed(args, {}).positionals, 'set takes one name; the secret comes on standard input'));
  const server = api();
  const value = await readHidden(`${name} (not shown): `);
  await server.call('PUT', `/secrets/${name}`, { value });
  tell(`keeps ${name}`);
  return 0;
}

/** `gatehouse secrets list`. */
async function list(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, JSON_FLAG);
  none(positionals, 'list takes no names');
  const server = api();
  const secrets = (await server.list('/secrets')).map((each) => {
    if (!isSecret(each)) throw server.stranger();
    return each;
  });
  if (values.json) printJson({ items: secrets });
  else
    console.log(secrets.length === 0 ? 'no secrets; keep one with `gatehouse secrets set`' : table(COLUMNS, secrets));
  return 0;
}

/** `gatehouse secrets delete`. */
async function remove(args: string[]): Promise<number> {
  const { positionals } = parsed(args, {});
  if (positionals.length === 0) throw new UsageError('delete takes names');
  const names = positionals.map(nameOf);
  const server = api();
  for (const name of names) {
    await server.call('DELETE', `/secrets/${name}`);
    console.log(`removed ${name}`);
  }
  return 0;
}

/** `gatehouse secrets rekey`: call by call, until nothing is left; what one has done stays done. */
async function rekey(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { 'all-tenants': { type: 'boolean', default: false }, ...JSON_FLAG });
  none(positionals, 'rekey takes no names');
  const server = api();
  let total = 0;
  for (;;) {
    const answer = await server.call('POST', '/secrets/rekey', { all_tenants: values['all-tenants'] });
    if (!isRekeying(answer)) throw server.stranger();
    total += answer.rekeyed;
    if (answer.more) {
      tell(`${total} sealed anew so far`);
      continue;
    }
    if (values.json) printJson({ ...answer, rekeyed: total });
    else show(total, answer);
    return answer.unopened === 0 ? 0 : 1;
  }
}

function show(total: number, { key_id: id, unopened, examples }: Rekeying): void {
  console.log(`${total} sealed anew; the master key is ${plain(id)} now`);
  if (unopened === 0) return;
  console.log(`${unopened} left as they are, since they cannot be opened:`);
  for (const { tenant, name, problem, key_id: key } of examples) {
    const why = problem === 'key_missing' ? `the master key ${key} is not on this server` : 'it was altered';
    console.log(plain(`  ${name} of the tenant ${tenant}: ${why}`));
  }
}

/** @throws UsageError for what is no name, without repeating it */
function nameOf(text: string): string {
  if (mask(text) !== text) {
    throw new UsageError('that is a secret, which others can now see in the list of processes; give a name for it');
  }
  if (!isSecretReference(text))
    throw new UsageError('a name has 1 to 100 letters, digits, dots, dashes and underscores');
  return text;
}

function isSecret(answer: unknown): answer is Secret {
  const { name, updated_by: by, updated_at: at, key_id: id, readable } = Object(answer) as Partial<Secret>;
  return [name, by, at, id].every((each) => typeof each === 'string') && typeof readable === 'boolean';
}

interface Rekeying {
  readonly rekeyed: number;
  readonly more: boolean;
  readonly unopened: number;
  readonly key_id: string;
  readonly examples: readonly { tenant: string; name: string; problem: string; key_id: string }[];
}

function isRekeying(answer: unknown): answer is Rekeying {
  const { rekeyed, more, unopened, examples, key_id: id } = Object(answer) as Partial<Rekeying>;
  const figures = [rekeyed, unopened].every((each) => Number.isSafeInteger(each));
  return figures && typeof more === 'boolean' && typeof id === 'string' && Array.isArray(examples);
}

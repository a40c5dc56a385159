/** What a repository's own configuration names: remotes, and programs to keep git from. */
import { DomainError } from '../../kernel/errors.js';
import type { Setting } from './settings.js';
import { splitRecords } from './status-parser.js';

/** Filters and merge drivers of one repository; each becomes settings of every call. */
const MAX_PROGRAMS = 100;
const MAX_REMOTES = 100;

export interface Remote {
  readonly name: string;
  readonly url: string;
  /** Where pushes go; the url when there is none. */
  readonly pushUrl: string;
}

export interface ScannedConfig {
  readonly remotes: readonly Remote[];
  /** Settings that put the programs it names out of use. */
  readonly neutral: readonly Setting[];
  /** The name of a setting for which nothing may go over the network, if there is one. */
  readonly redirect: string | undefined;
  /** Objects that are missing would be fetched when they are needed. */
  readonly partial: boolean;
}

/** Settings that lead elsewhere, or through a program, what is sent and fetched. */
const REDIRECTING = [
  /^url\..*\.(insteadof|pushinsteadof)$/s,
  /^remote\..*\.(vcs|uploadpack|receivepack|proxy|proxyauthmethod)$/s,
  /^(http|https|protocol|ssh|socks)\./,
  /^core\.(gitproxy|sshcommand|askpass)$/,
  // Where else to ask for objects: bundles and packs that the server or the repository names, remotes that a server does.
  /^(fetch|transfer)\.bundle/,
  /^fetch\.uriprotocols$/,
  /^promisor\./,
];

/** Settings with which a repository is not used at all, and what to tell about them. */
const REFUSED: readonly (readonly [which: (setting: Setting, raw: Buffer) => boolean, what: string])[] = [
  // Which files count may depend on the folder and the branch of a call: another call than this one would see others.
  [([key]) => /^include(if)?\./.test(key), 'includes other files'],
  // Programs that git runs from 2.54 on, beside those in the folder for hooks; nothing switches all of them off.
  [([key]) => key.startsWith('hook.'), 'names hooks'],
  // An address may stand here, of refs that are anywhere.
  [
    ([key, value]) => key === 'extensions.refstorage' && !/^(files|reftable)$/i.test(value),
    'keeps its refs in an unknown way',
  ],
  // The settings that we give are text: under the name that we would say, git would find another program.
  [
    ([key], raw) => /^(filter|merge)\./.test(key) && !raw.subarray(0, Buffer.byteLength(key)).equals(Buffer.from(key)),
    'has a name that is no UTF-8',
  ],
];

/**
 * Reads the answer of `git config --list -z --no-includes`.
 * @throws DomainError GIT_FAILED for settings with which no repository is used, and for more programs or remotes than are
 * looked at
 */
export function scanConfig(listing: Buffer): ScannedConfig {
  const records = splitRecords(listing);
  const entries = records.map(parseRecord);
  for (const [index, entry] of entries.entries()) refuse(entry, records[index] ?? Buffer.alloc(0));
  const filters = subsections(entries, 'filter', ['clean', 'smudge', 'process', 'required']);
  const drivers = subsections(entries, 'merge', ['driver']);
  if (filters.length + drivers.length > MAX_PROGRAMS) {
    throw new DomainError('GIT_FAILED', 'The repository’s configuration names too many filters and merge drivers.');
  }
  return {
    remotes: remotesOf(entries),
    neutral: [...filters.flatMap(withoutFilter), ...drivers.map(withoutDriver)],
    redirect: entries.map(([key]) => key).find((key) => REDIRECTING.some((pattern) => pattern.test(key))),
    partial: entries.some(([key]) => /^(extensions\.partialclone|remote\..*\.promisor)$/s.test(key)),
  };
}

function refuse(setting: Setting, raw: Buffer): void {
  const what = REFUSED.find(([which]) => which(setting, raw))?.[1];
  if (what === undefined) return;
  const name = setting[0].replaceAll(/\p{Cc}/gu, ' ').slice(0, 100);
  throw new DomainError('GIT_FAILED', `The repository’s configuration ${what} (${name}): it is not used.`);
}

/** Name and value; git writes section and variable in lower case, what is between as it is. */
function parseRecord(raw: Buffer): Setting {
  const record = raw.toString();
  const end = record.indexOf('\n');
  return end < 0 ? [record, 'true'] : [record.slice(0, end), record.slice(end + 1)];
}

/** What is between section and variable; it may be empty, which is a name like any other to git. */
function subsections(entries: readonly Setting[], section: string, variables: readonly string[]): string[] {
  const named = entries.flatMap(([key]) => {
    const last = key.lastIndexOf('.');
    // Without a second dot there is none.
    if (!key.startsWith(`${section}.`) || last <= section.length) return [];
    return variables.includes(key.slice(last + 1)) ? [key.slice(section.length + 1, last)] : [];
  });
  return [...new Set(named)];
}

function withoutFilter(name: string): Setting[] {
  const off = ['clean', 'smudge', 'process'].map((each): Setting => [`filter.${name}.${each}`, '']);
  return [...off, [`filter.${name}.required`, 'false']];
}

/** A driver that always fails makes a conflict of what it was for, and no silent choice of one side. */
function withoutDriver(name: string): Setting {
  return [`merge.${name}.driver`, 'false'];
}

function remotesOf(entries: readonly Setting[]): Remote[] {
  const names = subsections(entries, 'remote', ['url', 'pushurl']).filter((name) => name !== '');
  if (names.length > MAX_REMOTES) throw new DomainError('GIT_FAILED', 'The repository has too many remotes.');
  return names.map((name) => {
    const first = (variable: string): string | undefined =>
      entries.find(([key]) => key === `remote.${name}.${variable}`)?.[1];
    const url = first('url') ?? '';
    return { name, url, pushUrl: first('pushurl') ?? url };
  });
}

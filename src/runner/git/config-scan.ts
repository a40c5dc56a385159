/** What a repository's own configuration names: remotes, and programs to keep git from. */
import { DomainError } from '../../kernel/errors.js';
import type { Setting } from './settings.js';

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
];

/**
 * Reads the answer of `git config --list -z --no-includes`.
 * @throws DomainError GIT_FAILED when it includes other files, or names more programs or remotes than are looked at
 */
export function scanConfig(listing: Buffer): ScannedConfig {
  const entries = parseListing(listing);
  refuseIncludes(entries);
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

/** Which files count may depend on the folder and the branch of a call: another call than this one would see others. */
function refuseIncludes(entries: readonly Setting[]): void {
  const including = entries.find(([key]) => /^include(if)?\./.test(key));
  if (including === undefined) return;
  const name = including[0].replaceAll(/\p{Cc}/gu, ' ').slice(0, 100);
  throw new DomainError('GIT_FAILED', `The repository’s configuration includes other files (${name}): it is not used.`);
}

/** Names and values; git writes section and variable in lower case, what is between as it is. */
function parseListing(listing: Buffer): Setting[] {
  const records = listing.toString('utf8').split('\0').slice(0, -1);
  return records.map((record) => {
    const end = record.indexOf('\n');
    return end < 0 ? [record, 'true'] : [record.slice(0, end), record.slice(end + 1)];
  });
}

function subsections(entries: readonly Setting[], section: string, variables: readonly string[]): string[] {
  const named = entries.flatMap(([key]) => {
    const variable = key.slice(key.lastIndexOf('.') + 1);
    const name = key.slice(section.length + 1, -variable.length - 1);
    return key.startsWith(`${section}.`) && variables.includes(variable) && name !== '' ? [name] : [];
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
  const names = subsections(entries, 'remote', ['url', 'pushurl']);
  if (names.length > MAX_REMOTES) throw new DomainError('GIT_FAILED', 'The repository has too many remotes.');
  return names.map((name) => {
    const first = (variable: string): string | undefined =>
      entries.find(([key]) => key === `remote.${name}.${variable}`)?.[1];
    const url = first('url') ?? '';
    return { name, url, pushUrl: first('pushurl') ?? url };
  });
}

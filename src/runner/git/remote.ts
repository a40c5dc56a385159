/** Over the network: only to remotes that are configured, by transports that run nothing of the repository's. */
import { DomainError } from '../../kernel/errors.js';
import type { Remote } from './config-scan.js';
import { requireNoLinks } from './links.js';
import { checkRef } from './names.js';
import type { Places } from './places.js';
import { firstCommit } from './refs.js';
import type { Git, GitOptions, Repository } from './repository.js';
import { runGit, type GitResult } from './run.js';
import { networkEnvironment, type Setting } from './settings.js';
import { splitSignIn } from './sign-in.js';

const FETCH_TIMEOUT_MS = 60_000;
const PUSH_TIMEOUT_MS = 120_000;
const GLOBAL_BYTES = 1024 * 1024;

/** What serves a remote that is a folder: git starts it with that folder's configuration, which must not count. */
const SAFE_SERVER = [
  'git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.alternateRefsCommand=true -c gc.auto=0',
  '-c maintenance.auto=false -c receive.autogc=false -c receive.denyCurrentBranch=refuse',
].join(' ');
const SERVERS = {
  fetch: `--upload-pack=${SAFE_SERVER} upload-pack`,
  push: `--receive-pack=${SAFE_SERVER} receive-pack`,
};
/** For a server elsewhere: not what the configuration says, which a local remote would run here. */
const USUAL = { fetch: '--upload-pack=git-upload-pack', push: '--receive-pack=git-receive-pack' };

/** What a call over the network needs beside the repository. */
export interface NetworkContext {
  readonly places: Places;
  /** The runner's own environment. */
  readonly base: Readonly<Record<string, string | undefined>>;
}

interface Target {
  readonly remote: Remote;
  readonly url: string;
  readonly options: GitOptions;
  readonly server: string;
}

/**
 * Fetches all branches of a remote.
 * @param name of the remote; when undefined `origin`, or the only one
 * @returns the remote's name
 * @throws DomainError REMOTE_UNREACHABLE, REMOTE_REJECTED, or GIT_FAILED for a transport that is not allowed
 */
export async function fetchRemote(
  repository: Repository,
  name: string | undefined,
  context: NetworkContext,
): Promise<string> {
  const target = await aim(repository, name, 'fetch', context);
  const refs = `+refs/heads/*:refs/remotes/${target.remote.name}/*`;
  const how = ['--quiet', '--no-tags', '--no-recurse-submodules', '--no-auto-maintenance', '--no-write-fetch-head'];
  await overNetwork(repository, ['fetch', ...how, target.server, '--', target.url, refs], target, FETCH_TIMEOUT_MS);
  return target.remote.name;
}

/**
 * Pushes one branch under its own name, never by force.
 * @throws DomainError as {@link fetchRemote}, and REF_NOT_FOUND when there is no such branch
 */
export async function pushBranch(
  repository: Repository,
  branch: string,
  name: string | undefined,
  context: NetworkContext,
): Promise<{ remote: string; commit: string }> {
  const ref = `refs/heads/${branch}`;
  await requireNoLinks(repository.gitDir);
  const found = await firstCommit(repository, [ref]);
  if (!found) throw new DomainError('REF_NOT_FOUND', 'The branch has no commit.');
  const target = await aim(repository, name, 'push', context);
  const how = [
    '--porcelain',
    '--no-verify',
    '--no-follow-tags',
    '--no-signed',
    '--recurse-submodules=no',
    '--no-force',
  ];
  const args = ['push', ...how, target.server, '--', target.url, `${ref}:${ref}`];
  await overNetwork(repository, args, target, PUSH_TIMEOUT_MS);
  // Git itself does so only for a remote that is named, not for an address.
  await repository.run(['update-ref', `refs/remotes/${target.remote.name}/${branch}`, found.commit]);
  return { remote: target.remote.name, commit: found.commit };
}

async function aim(
  repository: Repository,
  name: string | undefined,
  direction: 'fetch' | 'push',
  { places, base }: NetworkContext,
): Promise<Target> {
  const { redirect } = repository.config;
  if (redirect !== undefined) {
    throw new DomainError('GIT_FAILED', `The repository sets ${redirect}: nothing is sent or fetched while it does.`);
  }
  const remote = chooseRemote(repository, name);
  const url = direction === 'push' ? remote.pushUrl : remote.url;
  const path = pathOf(url);
  if (path !== undefined) {
    const gitFolder = await localFolder(path, direction, places);
    const gitFolders = direction === 'push' ? [gitFolder] : [];
    const options = { env: networkEnvironment(base, ['file']), gitFolders };
    return { remote, url: path, server: SERVERS[direction], options };
  }
  const transports = transportsOf(url);
  const { address, settings } = splitSignIn(url);
  const all = [...(await operatorSettings(base)), ...settings];
  return {
    remote,
    url: address,
    server: USUAL[direction],
    options: { env: networkEnvironment(base, transports), settings: all },
  };
}

function chooseRemote({ config: { remotes } }: Repository, name: string | undefined): Remote {
  const wanted = name ?? (remotes.length === 1 ? remotes[0]?.name : 'origin');
  const remote = remotes.find((each) => each.name === wanted);
  if (!remote) throw new DomainError('REF_NOT_FOUND', 'remote: there is no such remote.');
  checkRef('remote', remote.name);
  return remote;
}

function pathOf(url: string): string | undefined {
  if (url.startsWith('/')) return url;
  return url.startsWith('file:///') ? url.slice('file://'.length) : undefined;
}

/**
 * A remote on this machine must be a repository under a project root too, and bring no objects from elsewhere.
 * @returns the real path of git's folder in it
 */
async function localFolder(path: string, direction: 'fetch' | 'push', places: Places): Promise<string> {
  const repository = await places.open(path);
  const { redirect, partial } = repository.config;
  try {
    if (direction === 'push') await requireNoLinks(repository.gitDir);
  } finally {
    repository.close();
  }
  if (redirect === undefined && !partial) return repository.gitDir.path;
  throw new DomainError('GIT_FAILED', 'The remote is a folder whose configuration leads elsewhere.');
}

/** @throws DomainError GIT_FAILED for anything but https and ssh */
export function transportsOf(url: string): string[] {
  if (/^https:\/\/[^-]/i.test(url)) return ['https'];
  if (/^ssh:\/\/[^-]/i.test(url) || /^[^-/:][^/:]*:(?!:)/.test(url.includes('://') ? '' : url)) return ['ssh'];
  throw new DomainError('GIT_FAILED', 'The remote’s transport is not allowed: https, ssh or a repository here.');
}

/** How the person who runs the runner signs in: `credential.*` and `http.*` of that account's own git configuration. */
async function operatorSettings(base: NetworkContext['base']): Promise<Setting[]> {
  const env = { PATH: base['PATH'] ?? '/usr/bin:/bin', HOME: base['HOME'] ?? '/', GIT_CONFIG_NOSYSTEM: '1' };
  const args = ['config', '--global', '--list', '-z', '--includes'];
  // 128, 1: there is none
  const { stdout, code } = await runGit({ args, env, cwd: '/', accept: [0, 1, 128], maxBytes: GLOBAL_BYTES });
  if (code !== 0) return [];
  const records = stdout.toString().split('\0').slice(0, -1);
  return records.flatMap((record): Setting[] => {
    const end = record.indexOf('\n');
    const name = end < 0 ? record : record.slice(0, end);
    return /^(credential|http)\./.test(name) ? [[name, end < 0 ? 'true' : record.slice(end + 1)]] : [];
  });
}

async function overNetwork(git: Git, args: readonly string[], { options }: Target, timeoutMs: number): Promise<void> {
  const limits = { timeoutMs, accept: [0, 1, 128, 129], network: true };
  const result = await git.run(args, { ...options, ...limits }).catch((error: unknown) => {
    if (error instanceof DomainError && error.code === 'GIT_TIMEOUT') throw unreachable(error);
    throw error;
  });
  if (result.code !== 0) throw networkError(result);
}

/** What kept a push or fetch from being done, by what git says about it. */
export function networkError({ stdout, stderr, code }: GitResult): DomainError {
  const cause = new Error(`git ended with ${String(code)}: ${stderr}`);
  if (/no space left on device/i.test(stderr)) {
    return new DomainError('DISK_FULL', 'There is no space left on the device.', { cause });
  }
  if (/^!\t/m.test(stdout.toString())) {
    return new DomainError(
      'REMOTE_REJECTED',
      'The remote did not take the branch: it has commits that are not here, or forbids it.',
      { cause },
    );
  }
  if (
    /authentication failed|could not read (username|password)|permission denied|host key verification|error: 40[13]/i.test(
      stderr,
    )
  ) {
    return new DomainError('REMOTE_REJECTED', 'The remote did not accept the runner’s credentials.', { cause });
  }
  if (/repository .* not found/i.test(stderr))
    return new DomainError('REMOTE_REJECTED', 'The remote has no such repository.', { cause });
  return unreachable(cause);
}

function unreachable(cause: Error): DomainError {
  return new DomainError('REMOTE_UNREACHABLE', 'The remote could not be reached.', { cause });
}

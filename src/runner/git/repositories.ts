import type { ListRepositoriesResponse } from '../../generated/gatehouse/runner/v1/ListRepositoriesResponse.js';
import type { RunnerRepository } from '../../generated/gatehouse/runner/v1/RunnerRepository.js';
import { MAX_ANSWER_BYTES, takeWithin, textBytes } from './bounded.js';
import type { FoundRepository, Places } from './places.js';
import { defaultBase } from './refs.js';

/** Repositories that are looked into at a time. */
const AT_ONCE = 8;

/** Looks that are under way: whoever asks meanwhile gets what they find. */
const underway = new WeakMap<Places, Promise<ListRepositoriesResponse>>();

/** The repositories under the project roots, each looked into; one that cannot be is left out. */
export function listRepositories(places: Places): Promise<ListRepositoriesResponse> {
  const looking = underway.get(places) ?? lookThrough(places).finally(() => underway.delete(places));
  underway.set(places, looking);
  return looking;
}

async function lookThrough(places: Places): Promise<ListRepositoriesResponse> {
  const { repositories, truncated } = await places.find();
  const described: RunnerRepository[] = [];
  for (let start = 0; start < repositories.length; start += AT_ONCE) {
    const some = repositories.slice(start, start + AT_ONCE).map((found) => describe(places, found));
    described.push(...(await Promise.all(some)).filter((each) => each !== undefined));
  }
  const { taken } = takeWithin(described, MAX_ANSWER_BYTES, ({ path, name, default_branch, remotes = [] }) => {
    return textBytes(path) + textBytes(name) + textBytes(default_branch) + textBytes(remotes.join('     '));
  });
  return { repositories: [...taken], truncated: truncated || taken.length < described.length };
}

async function describe(places: Places, { path, name }: FoundRepository): Promise<RunnerRepository | undefined> {
  const repository = await places.open(path).catch(() => undefined);
  if (repository === undefined) return undefined;
  try {
    const base = await defaultBase(repository);
    return {
      ...{ path, name, bare: repository.bare, trusted: places.isTrusted(path) },
      default_branch: branchOf(base?.ref ?? ''),
      remotes: repository.config.remotes.map((remote) => remote.name),
    };
  } catch {
    return undefined;
  } finally {
    repository.close();
  }
}

/** `refs/heads/main` and `refs/remotes/origin/main` are both called main; a commit, of a detached HEAD, has no branch. */
function branchOf(ref: string): string {
  return ref.startsWith('refs/') ? ref.replace(/^refs\/(heads|remotes\/[^/]+)\//, '') : '';
}

import type { Resource } from '../authorization/policy.js';
import type { Principal } from '../kernel/principal.js';

/**
 * A repository, for the policy: nobody owns one, so that whoever asks may use it as far as his roles and scopes let him. A
 * credential may be narrowed to one: `worktree:create@app`.
 * @param name as the caller names it: a name below a project root, or a path
 */
export const repositoryResource = ({ tenant, provider, subject }: Principal, name: string): Resource => ({
  ...{ kind: 'repository', id: name, tenant, ownerProvider: provider, ownerSubject: subject },
  shares: [],
});

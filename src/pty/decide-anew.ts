import type { Resource } from '../authorization/policy.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { SessionStore } from './session-store.js';

/** How long a look at whom a session is shared with may take, milliseconds: a share taken back ends within a second. */
const READ_MS = 500;

/** Something of a caller's that stays open on a session. */
export interface OpenOnSession {
  readonly context: CallerContext;
  /** The session as the policy sees it; replaced when it was shared or a share was taken back. */
  resource: Resource;
}

/**
 * Decides anew whether it may stay open. A lost role or binding does not wait for the database.
 * @param decide by the resource as it is then; asked again when that had to be read
 * @returns what it said last
 */
export async function decideAnew(store: SessionStore, open: OpenOnSession, decide: () => boolean): Promise<boolean> {
  const { id } = open.resource;
  const known = store.remembered(id);
  if (known !== undefined) open.resource = known;
  if (!decide()) return false;
  if (known !== undefined) return true;
  const read = await readAgain(store, open);
  open.resource = store.remembered(id) ?? read;
  return decide();
}

/**
 * What is forgotten is so because its shares changed, or may have: as long as it cannot be read, nobody is counted as
 * one it is shared with. Whose it is never changes.
 */
async function readAgain(store: SessionStore, { context, resource }: OpenOnSession): Promise<Resource> {
  const unshared: Resource = { ...resource, shares: [] };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Resource>((done) => {
    timer = setTimeout(done, READ_MS, unshared);
  });
  try {
    const read = store.owner(context.principal.tenant, resource.id);
    return (await Promise.race([read, late])) ?? unshared;
  } catch {
    return unshared;
  } finally {
    clearTimeout(timer);
  }
}

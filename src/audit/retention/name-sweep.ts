import { randomBytes } from 'node:crypto';
import type { TenantScope } from '../../database/tenant-scope.js';

/** Names that are looked at in one statement. */
const NAMES_IN_STEP = 100;
/** Steps of one sweep: the next one goes on somewhere else. */
const STEPS = 20;

/**
 * Deletes names of which no event is left. A person's address and program stand in events of that person only, which have
 * one of the person's own tokens; a token of a person can also stand among the facts of somebody else's event.
 */
const SWEEP = `
  WITH step AS (
    SELECT token, tenant, provider, subject, kind FROM audit_names WHERE token > $1 ORDER BY token LIMIT ${NAMES_IN_STEP}
  ), gone AS (
    SELECT token FROM step s WHERE CASE s.kind
      WHEN 'user_id' THEN
        NOT EXISTS (SELECT FROM audit_events e WHERE e.tenant = s.tenant AND e.user_id = s.token)
        AND NOT EXISTS (SELECT FROM audit_events e
          WHERE audit_words(e.action, e.resource, e.reason, e.request_id, e.metadata)
              @@ phraseto_tsquery('simple', regexp_replace(s.token, '[^[:alnum:]]+', ' ', 'g'))
            AND strpos(e.metadata::text, s.token) > 0)
      WHEN 'remote_addr' THEN
        NOT EXISTS (SELECT FROM audit_events e WHERE e.tenant = s.tenant AND e.remote_addr = s.token)
      ELSE NOT EXISTS (SELECT FROM audit_names p JOIN audit_events e ON e.tenant = p.tenant AND e.user_id = p.token
          WHERE p.tenant = s.tenant AND md5(p.subject) = md5(s.subject) AND p.subject = s.subject
            AND p.provider = s.provider AND p.kind = 'user_id' AND e.user_agent = s.token)
      END
  ), deleted AS (DELETE FROM audit_names n USING gone WHERE n.token = gone.token RETURNING n.token)
  SELECT (SELECT max(token) FROM step) AS last, (SELECT count(*) FROM deleted)::int AS deleted`;

/**
 * Deletes some of the names whose events were all dropped. Begins at random, and tokens are made at random: every name has
 * its turn. Before anything was dropped there is nothing to do.
 * @returns how many names it deleted
 */
export async function sweepNames(scope: TenantScope): Promise<number> {
  const dropped: unknown = await scope.system((manager) => manager.query('SELECT 1 FROM audit_tombstones LIMIT 1'));
  if ((dropped as unknown[]).length === 0) return 0;
  let deleted = 0;
  let after = `p_${randomBytes(16).toString('base64url')}`;
  let turned = false;
  for (let step = 0; step < STEPS; step += 1) {
    const found: unknown = await scope.system((manager) => manager.query(SWEEP, [after]));
    const [{ last, deleted: some } = { last: null, deleted: 0 }] = found as { last: string | null; deleted: number }[];
    deleted += some;
    if (last === null && turned) break;
    turned ||= last === null;
    after = last ?? '';
  }
  return deleted;
}

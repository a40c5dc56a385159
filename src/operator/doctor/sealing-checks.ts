import type { Config } from '../../config/load.js';
import { isHttpsWebhook } from '../../config/webhooks.js';
import { DEFAULT_TENANT } from '../../kernel/principal.js';
import type { Keyring } from '../../sealing/keyring.js';
import { placeOf } from '../../sealing/sealed-secrets.js';
import { type Finding, ok, problem, skipped, warning } from '../finding.js';
import type { SealedRow } from './sealed-facts.js';

/** Of many rows so many are named. */
const MAX_NAMED = 10;

/** @param rows null: they could not be looked at */
export function sealed(keyring: Keyring | null, rows: readonly SealedRow[] | null): Finding {
  const id = 'secrets.sealed';
  if (rows === null) return skipped(id, 'stored secrets could not be looked at');
  const lost = rows.flatMap((row) => {
    const fault = faultOf(keyring, row);
    return fault === null ? [] : [`${row.name} of the tenant ${row.tenant}: ${fault}`];
  });
  if (lost.length === 0) return ok(id, `${rows.length} stored, and each can be opened`);
  const more = lost.length > MAX_NAMED ? [`and ${lost.length - MAX_NAMED} more`] : [];
  const mend =
    'Set the missing master key as ENCRYPTION_MASTER_KEY, or as ENCRYPTION_MASTER_KEY_PREVIOUS and run ' +
    '`gatehouse secrets rekey`. What was altered, or whose key is gone, has to be set anew.';
  return problem(
    id,
    [`${lost.length} of ${rows.length} cannot be opened`, ...lost.slice(0, MAX_NAMED), ...more].join('\n'),
    mend,
  );
}

function faultOf(keyring: Keyring | null, { tenant, name, keyId, envelope }: SealedRow): string | null {
  if (keyring?.keyIds.includes(keyId) !== true) return `the master key ${keyId} is not here`;
  return envelope === null || opened(keyring, tenant, name, envelope) !== null ? null : 'it was altered';
}

function opened(keyring: Keyring, tenant: string, name: string, envelope: Buffer): string | null {
  try {
    return keyring.open(placeOf(tenant, name), envelope).toString('utf8');
  } catch {
    return null;
  }
}

/** @param rows null: they could not be looked at */
export function masterKeyPrevious(
  { ENCRYPTION_MASTER_KEY_PREVIOUS: previous }: Config,
  keyring: Keyring | null,
  rows: readonly SealedRow[] | null,
): Finding {
  const id = 'secrets.master_key_previous';
  if (previous === undefined) return ok(id, 'no rotation is under way');
  const before = rows?.filter(
    ({ keyId }) => keyId !== keyring?.keyId && keyring?.keyIds.includes(keyId) === true,
  ).length;
  if (before === undefined)
    return warning(id, 'ENCRYPTION_MASTER_KEY_PREVIOUS is set', 'Look again with the database there.');
  return before === 0
    ? warning(
        id,
        'ENCRYPTION_MASTER_KEY_PREVIOUS is still set, and nothing is sealed under it',
        'Once every gateway has the new key in ENCRYPTION_MASTER_KEY, start without it.',
      )
    : warning(id, `${before} secrets are sealed under it`, 'Run `gatehouse secrets rekey`, then start without it.');
}

/** @param named secrets that alerts.yaml names, by destination; null: the file is wrong */
export function alertSecrets(
  named: ReadonlyMap<string, string> | null,
  keyring: Keyring | null,
  rows: readonly SealedRow[] | null,
): Finding {
  const id = 'secrets.alerts';
  if (named === null || rows === null) return skipped(id, 'the file or the secrets could not be looked at');
  if (named.size === 0) return skipped(id, 'no alerts go to an address in a stored secret');
  const missing = [...named].flatMap(([destination, name]) => {
    const row = rows.find((each) => each.tenant === DEFAULT_TENANT && each.name === name);
    if (row === undefined) return [`${destination}: there is no secret called ${name} in the tenant ${DEFAULT_TENANT}`];
    const value = keyring === null || row.envelope === null ? null : opened(keyring, row.tenant, name, row.envelope);
    return value === null || isHttpsWebhook(value)
      ? []
      : [`${destination}: the secret called ${name} is no https address`];
  });
  if (missing.length === 0) return ok(id, `${named.size} destinations have their addresses`);
  return problem(id, missing.join('\n'), 'Set each: `gatehouse secrets set NAME`, the address on standard input.');
}

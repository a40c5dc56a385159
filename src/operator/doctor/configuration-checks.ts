import type { Config } from '../../config/load.js';
import { type Finding, ok, problem, skipped, warning } from '../finding.js';

/** So many may reach all tenants before it is worth a look whether they all should. */
const MANY_ADMINS = 5;
/** A secret of fewer different characters was typed by somebody, or repeats itself. */
const MIN_DIFFERENT = 12;
const NEW_SECRET = 'Replace it, as docs/rotating-secrets.md says: `openssl rand -base64 48` makes one.';

/** @param problems all that a start would refuse, one line each */
export const configValid = (problems: readonly string[]): Finding =>
  problems.length === 0
    ? ok('config.valid', 'the environment and the YAML files are right')
    : problem('config.valid', problems.join('\n'), 'Mend what is named; `gatehouse config check` tells it again.');

export const mode = ({ NODE_ENV }: Config): Finding =>
  NODE_ENV === 'production'
    ? ok('config.mode', 'NODE_ENV is production')
    : warning('config.mode', `NODE_ENV is ${NODE_ENV}`, 'Set NODE_ENV=production, and AUTH_SECRET with it.');

export function platformAdmins({ PLATFORM_ADMINS: named }: Config): Finding {
  if (named.length === 0) return ok('access.platform_admins', 'nobody reaches all tenants');
  const what = `${named.length} named in PLATFORM_ADMINS`;
  if (named.length <= MANY_ADMINS) return ok('access.platform_admins', what);
  return warning('access.platform_admins', what, 'Take out of PLATFORM_ADMINS who does not need it.');
}

export function authSecret({ AUTH_SECRET: given, production }: Config): Finding {
  if (given === undefined) {
    return production
      ? problem('secrets.auth_secret', 'AUTH_SECRET is not set', 'Set it: `openssl rand -base64 48` makes one.')
      : ok('secrets.auth_secret', 'made at the first start, in DATA_DIR/auth-secret');
  }
  if (new Set(given).size < MIN_DIFFERENT) {
    return warning('secrets.auth_secret', 'AUTH_SECRET has few different characters and may be guessed', NEW_SECRET);
  }
  return ok('secrets.auth_secret', `AUTH_SECRET is set, ${Buffer.byteLength(given)} bytes`);
}

export const authSecretPrevious = ({ AUTH_SECRET_PREVIOUS: previous }: Config): Finding =>
  previous === undefined
    ? ok('secrets.auth_secret_previous', 'no rotation is under way')
    : warning(
        'secrets.auth_secret_previous',
        'AUTH_SECRET_PREVIOUS is still set',
        'Start without it once the last token of before has ended: 24 hours, or max_token_lifetime_seconds.',
      );

/** @param kept is there a key in DATA_DIR? */
export function masterKey({ ENCRYPTION_MASTER_KEY: given, production }: Config, kept: boolean): Finding {
  const id = 'secrets.master_key';
  if (given !== undefined) return ok(id, 'ENCRYPTION_MASTER_KEY is set');
  if (production) {
    const mend = 'Set ENCRYPTION_MASTER_KEY: `openssl rand -base64 32` makes one. Keep it apart from the backups.';
    return warning(id, 'ENCRYPTION_MASTER_KEY is not set, so secrets can be neither kept nor opened', mend);
  }
  if (kept) return ok(id, 'made at the first start, in DATA_DIR/encryption-master-key');
  return skipped(id, 'none is there yet; the first start makes one');
}

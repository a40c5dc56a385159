import { z } from 'zod';
import { areaOf, PERMISSIONS } from '../../authorization/permissions.js';
import { intersectScopes } from '../../authorization/scope-intersection.js';
import { isScope } from '../../authorization/scopes.js';
import { DEFAULT_TENANT, type Principal } from '../../kernel/principal.js';
import { claimNames, claimScope, typed, wordsOf } from '../tokens/claim-types.js';
import { refusal } from '../tokens/refusal.js';
import type { Period } from '../tokens/registered-claims.js';
import type { ProviderConfig } from './auth-config.js';
import { mapClaims, type Payload } from './claim-mapping.js';

/**
 * Whom a verified token of a provider speaks of. Its tenant is the token's where one is mapped, else the provider's.
 * @throws DomainError JWT_INVALID when a claim is missing or of the wrong type
 */
export function providerPrincipal(payload: Payload, provider: ProviderConfig, period: Period): Principal {
  const { tenant, ...mapped } = mapClaims(payload, provider);
  const jti = typeof payload['jti'] === 'string' ? payload['jti'] : null;
  if (provider.replay_protection && jti === null) throw refusal('JWT_INVALID', 'jti_missing');
  return {
    ...mapped,
    tenant: tenant ?? provider.tenant ?? DEFAULT_TENANT,
    scopes: scopesOf(payload, provider),
    method: 'jwt',
    provider: provider.name,
    credentialId: jti,
    keyId: null,
    owner: null,
    issuedAt: new Date(period.issuedAt * 1000),
    expiresAt: new Date(period.expires * 1000),
  };
}

/** Okta's access tokens have their scopes in `scp`, a list; other servers that say so have a text there. */
const claimScp = z.union([claimScope, claimNames]);

/** What each claim of the token that narrows it leaves; null where none does. */
function scopesOf(payload: Payload, { preset }: ProviderConfig): readonly string[] | null {
  const scope = narrowing(typed(claimScope.optional(), payload['scope'], 'scope') ?? '');
  if (preset !== 'okta') return scope;
  return intersectScopes(scope, narrowing(typed(claimScp.optional(), payload['scp'], 'scp') ?? ''));
}

/**
 * Words about an area of ours narrow the token to them; one that is no permission here (`pty:attach`, `audit:write`) is
 * nothing, but still no leave to do everything. Others (`openid`, `profile`, another server's) neither give nor take.
 */
function narrowing(claim: string | readonly string[]): string[] | null {
  const words = [claim].flat().flatMap(wordsOf);
  return words.some(isAboutUs) ? words.filter(isScope) : null;
}

const AREAS: ReadonlySet<string> = new Set(PERMISSIONS.map(areaOf));
const isAboutUs = (word: string): boolean => word.includes(':') && AREAS.has(word.slice(0, word.indexOf(':')));

import { z } from 'zod';
import type { Config } from '../../config/load.js';
import { ConfigurationError } from '../../config/load.js';
import { LOCAL_ISSUER } from '../../kernel/local-token.js';
import { LOCAL_PROVIDER } from '../../kernel/principal.js';
import { PROVIDER_ALGORITHMS } from '../tokens/signature.js';
import { parseStrictJson, StrictJsonError } from '../tokens/strict-json.js';
import { isListEntry } from './access-lists.js';
import { claimMappingsSchema } from './claim-source.js';
import { discoveryAddress, isKeyAddress } from './secure-address.js';

const MAX_PROVIDERS = 64;
const MAX_LIST = 10_000;
/** No token may be let live longer: a revocation is kept for as long. */
export const MAX_LIFETIME_SECONDS = 31 * 86_400;

const text = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^\p{Cc}\p{Cs}]+$/u, 'text without control characters');
const seconds = (min: number, max: number, fallback: number) => z.int().min(min).max(max).default(fallback);
const entries = z
  .array(text.refine(isListEntry, 'a name, in which * may only be a whole segment: user:default/*'))
  .max(MAX_LIST)
  .default([]);

const accessLists = z.strictObject({
  allowed_users: entries,
  allowed_groups: entries,
  deny_users: entries,
  deny_groups: entries,
});

/** One entry of `jwks_providers`. */
const provider = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'lower-case letters, digits, - and _; 63 characters at most')
    .refine((name) => name !== LOCAL_PROVIDER, `another name than ${LOCAL_PROVIDER}, which is this server`),
  preset: z.enum(['backstage', 'auth0', 'okta', 'keycloak', 'generic']).default('generic'),
  issuer: z
    .string()
    .min(1)
    .max(512)
    .refine((issuer) => issuer !== LOCAL_ISSUER, `another issuer than ${LOCAL_ISSUER}, which is this server`),
  url: z.string().min(1).max(2048).optional(),
  discovery: z.literal(true).optional(),
  audiences: z.array(z.string().min(1).max(512)).min(1).max(20),
  algorithms: z.array(z.enum(PROVIDER_ALGORITHMS)).min(1).max(PROVIDER_ALGORITHMS.length).default(['RS256', 'ES256']),
  claim_mappings: claimMappingsSchema.default({}),
  role_map: z.record(text, text).default({}),
  tenant: text.optional(),
  replay_protection: z.boolean().default(false),
  max_token_lifetime_seconds: z.int().min(1).max(MAX_LIFETIME_SECONDS).optional(),
});

export type ProviderConfig = z.infer<typeof provider>;

/** Where a provider's keys are fetched: from `jwks`, or from what `discovery` names. */
export type KeyAddress = { readonly jwks: string } | { readonly discovery: string; readonly issuer: string };

export const keyAddressOf = ({ url, issuer }: ProviderConfig): KeyAddress =>
  url === undefined ? { discovery: discoveryAddress(issuer), issuer } : { jwks: url };

/** A list of providers, each rule about one and between them. */
function providers(loopbackHttp: boolean) {
  return z
    .array(provider)
    .max(MAX_PROVIDERS)
    .superRefine((list, context) => {
      list.forEach((each, index) => {
        const problem = (field: keyof ProviderConfig, message: string): void => {
          context.addIssue({ code: 'custom', path: [index, field], message });
        };
        if ((each.url === undefined) === (each.discovery === undefined))
          problem('url', 'either url or discovery: true');
        else checkAddress(each, loopbackHttp, problem);
        for (const field of ['name', 'issuer'] as const) {
          if (list.findIndex((other) => other[field] === each[field]) < index) problem(field, 'already used above');
        }
      });
    });
}

function checkAddress(
  each: ProviderConfig,
  loopbackHttp: boolean,
  problem: (field: 'url' | 'issuer', message: string) => void,
): void {
  const [field, address] = each.url === undefined ? (['issuer', each.issuer] as const) : (['url', each.url] as const);
  if (isKeyAddress(address, loopbackHttp)) return;
  problem(field, `an https:// address${loopbackHttp ? ', or http:// on loopback' : ''}`);
}

function authentication(config: Pick<Config, 'production'>) {
  return z.strictObject({
    enabled: z.literal(true, { error: 'true: there is no Gatehouse without authentication' }).default(true),
    clock_skew_seconds: seconds(0, 300, 60),
    cache_ttl_seconds: seconds(1, 86_400, 3600),
    refresh_interval_seconds: seconds(1, 86_400, 900),
    timeout_seconds: seconds(1, 30, 10),
    max_stale_seconds: seconds(1, 7 * 86_400, 86_400),
    max_token_lifetime_seconds: seconds(1, MAX_LIFETIME_SECONDS, 86_400),
    jwks_providers: providers(!config.production).optional(),
    authorization: accessLists.prefault({}),
  });
}

/** What auth.yaml and AUTH_JWKS_PROVIDERS say, every default filled in. */
export interface AuthConfig extends Omit<z.infer<ReturnType<typeof authentication>>, 'jwks_providers'> {
  readonly jwks_providers: readonly ProviderConfig[];
}

/**
 * The schema of auth.yaml.
 * @throws ConfigurationError when AUTH_JWKS_PROVIDERS is wrong
 */
export function authFileSchema(config: Pick<Config, 'production' | 'AUTH_JWKS_PROVIDERS'>): z.ZodType<AuthConfig> {
  const fromEnvironment =
    config.AUTH_JWKS_PROVIDERS === undefined
      ? null
      : environmentProviders(config.AUTH_JWKS_PROVIDERS, config.production);
  return z
    .strictObject({ authentication: authentication(config).prefault({}) })
    .superRefine(({ authentication: { jwks_providers: inFile } }, context) => {
      if (fromEnvironment === null || inFile === undefined) return;
      const message = 'AUTH_JWKS_PROVIDERS is set too, expected providers in one place';
      context.addIssue({ code: 'custom', path: ['authentication', 'jwks_providers'], message });
    })
    .transform(({ authentication: { jwks_providers: inFile, ...rest } }): AuthConfig => ({
      ...rest,
      jwks_providers: fromEnvironment ?? inFile ?? [],
    }));
}

/** @throws ConfigurationError with the path of every wrong field */
function environmentProviders(json: string, production: boolean): ProviderConfig[] {
  const parsed = providers(!production).safeParse(environmentList(json));
  if (parsed.success) return parsed.data;
  throw new ConfigurationError(
    parsed.error.issues.map(({ path, message }) => `AUTH_JWKS_PROVIDERS: ${path.join('.') || '(list)'}: ${message}`),
  );
}

function environmentList(json: string): unknown {
  try {
    return parseStrictJson(Buffer.from(json));
  } catch (error) {
    const fault = error instanceof StrictJsonError ? error.fault : 'not_json';
    throw new ConfigurationError([`AUTH_JWKS_PROVIDERS: expected a JSON list of providers (${fault})`]);
  }
}

import { isIP } from 'node:net';
import { z } from 'zod';
import { isCidr } from '../kernel/cidr.js';
import { MASTER_KEY_EXPECTED, parseMasterKey } from './master-key.js';
import { SANDBOXES } from '../kernel/link.js';
import { isHostName, isOrigin } from './site-names.js';
import { isWebhookAddress, WEBHOOK_EXPECTED } from './webhooks.js';

/** Values that were published as examples: as a secret they are no secret. */
const PUBLISHED_SECRETS = ['dev-secret-change-in-production', 'changeme', 'secret', 'your-secret-key'];

const MIN_SECRET_BYTES = 32;

const port = (fallback: number) => integer(0, 65535, fallback);

/** A whole number written in plain decimal digits, within bounds. */
function digits(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, `a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `a whole number from ${min} to ${max}`);
}

const integer = (min: number, max: number, fallback: number) => digits(min, max).default(fallback);

/** The name or address of one host, without port or brackets. */
const host = z
  .string()
  .refine(
    (text) => isIP(text) !== 0 || /^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text),
    'the name or address of a host',
  );

/** The driver takes such a parameter of the address for its TLS, whatever else it is told. */
function saysHowToEncrypt(url: string): boolean {
  const parameters = new URLSearchParams(url.slice(url.indexOf('?') + 1).replace(/#.*$/s, ''));
  return url.includes('?') && [...parameters.keys()].some((name) => /^(ssl|uselibpqcompat)/i.test(name.trim()));
}

const flag = z.enum(['true', 'false'], { error: 'true or false' }).transform((value) => value === 'true');

/** Addresses and networks, comma-separated: `127.0.0.1, 10.0.0.0/8, fd00::/8`. */
function addresses() {
  return z
    .string()
    .max(4096)
    .default('')
    .transform((text) => text.split(',').flatMap((each) => each.trim() || []))
    .refine((list) => list.every((each) => isCidr(each)), 'addresses or networks such as 10.0.0.0/8, comma-separated');
}

/** Words with commas between them, each of a certain form. */
function words(isOne: (word: string) => boolean, expected: string) {
  return z
    .string()
    .max(16_384)
    .default('')
    .transform((text) => text.split(',').flatMap((each) => each.trim().toLowerCase() || []))
    .refine((list) => list.every(isOne), expected);
}

/** Absolute folders, separated by colons as in PATH. */
function folders() {
  return z
    .string()
    .max(16_384)
    .default('')
    .transform((text) => text.split(':').filter((each) => each !== ''))
    .refine((list) => list.every((each) => each.startsWith('/')), 'absolute folders, separated by colons');
}

/** People by tenant, provider and subject: `default/gatehouse/alice`, comma-separated. A subject may have slashes. */
function people() {
  return z
    .string()
    .max(16_384)
    .default('')
    .transform((text) => text.split(',').flatMap((each) => each.trim() || []))
    .refine((list) => list.every((each) => PERSON.test(each)), 'tenant/provider/subject, comma-separated')
    .transform((list) =>
      list.map((each) => {
        const [, tenant = '', provider = '', subject = ''] = PERSON.exec(each) ?? [];
        return { tenant, provider, subject };
      }),
    );
}
const PERSON = /^([^/]+)\/([^/]+)\/(.+)$/;

const secret = z
  .string()
  .refine((value) => Buffer.byteLength(value) >= MIN_SECRET_BYTES, `at least ${MIN_SECRET_BYTES} bytes`)
  .refine((value) => !PUBLISHED_SECRETS.some((known) => value.startsWith(known)), 'not a published default');

const masterKey = z.string().refine((text) => parseMasterKey(text) !== null, MASTER_KEY_EXPECTED);

/**
 * Every variable the gateway reads, with its default. `.env.example` lists the same ones; a test compares them.
 * A variable that is set to the empty string counts as not set.
 */
export const environmentSchema = z.object({
  NODE_ENV: z
    .enum(['development', 'production', 'test'], { error: 'development, production or test' })
    .default('development'),
  // One address, on which the gate stands: Fastify would open `::1` beside it without what is bound to the server.
  HOST: z
    .string()
    .max(255)
    .default('127.0.0.1')
    .transform((host) => (host.toLowerCase() === 'localhost' ? '127.0.0.1' : host)),
  HTTP_PORT: port(8080),
  GRPC_PORT: port(50051),
  TLS_ENABLED: flag.default(false),
  TLS_CERT_FILE: z.string().max(4096).default('certs/server.crt'),
  TLS_KEY_FILE: z.string().max(4096).default('certs/server.key'),
  TLS_MIN_VERSION: z.enum(['1.2', '1.3'], { error: '1.2 or 1.3' }).default('1.2'),
  TLS_CLIENT_AUTH: z
    .enum(['none', 'request', 'require', 'verify'], { error: 'none, request, require or verify' })
    .default('none'),
  TLS_CLIENT_CA_FILE: z.string().max(4096).optional(),
  TLS_TERMINATED_BY_PROXY: flag.default(false),
  ALLOWED_HOSTS: words(isHostName, 'names or addresses of hosts without ports, comma-separated'),
  CORS_ALLOWED_ORIGINS: words(
    (word) => word === '*' || isOrigin(word),
    'origins such as https://app.example.com, exactly as browsers send them, comma-separated',
  ),
  CORS_ALLOW_CREDENTIALS: flag.default(false),
  GRPC_REFLECTION: flag.optional(),
  // A week at most, which a timer can wait for.
  GRPC_MAX_CONNECTION_AGE_SECONDS: integer(0, 604_800, 3600),
  GRPC_MAX_CONNECTION_AGE_GRACE_SECONDS: integer(1, 604_800, 600),
  DATA_DIR: z.string().max(4096).default('data'),
  DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'a postgres:// address')
    .refine((url) => !saysHowToEncrypt(url), 'an address without ssl parameters: that is DATABASE_SSL_MODE')
    .optional(),
  DATABASE_SSL_MODE: z
    .enum(['disable', 'require', 'verify-ca', 'verify-full'], { error: 'disable, require, verify-ca or verify-full' })
    .default('disable'),
  DATABASE_POOL_SIZE: integer(2, 200, 10),
  AUTH_SECRET: secret.optional(),
  AUTH_SECRET_PREVIOUS: secret.optional(),
  ENCRYPTION_MASTER_KEY: masterKey.optional(),
  ENCRYPTION_MASTER_KEY_PREVIOUS: masterKey.optional(),
  AUTH_CONFIG: z.string().max(4096).default('config/auth.yaml'),
  AUTH_JWKS_PROVIDERS: z.string().max(262_144).optional(),
  POLICY_CONFIG: z.string().max(4096).default('config/permissions.yaml'),
  PLATFORM_ADMINS: people(),
  AUTH_STATE_MAX_AGE_SECONDS: integer(1, 60, 60),
  TRUSTED_PROXIES: addresses(),
  REDIS_URL: z
    .string()
    .refine((text) => /^rediss?:$/.test(URL.parse(text)?.protocol ?? ''), 'a redis:// or rediss:// address')
    .optional(),
  RATE_LIMIT_STRANGER_PER_MINUTE: integer(1, 1_000_000, 100),
  RATE_LIMIT_STRANGER_BURST: integer(1, 1_000_000, 20),
  RATE_LIMIT_HEALTH_PER_MINUTE: integer(1, 1_000_000, 600),
  RATE_LIMIT_HEALTH_BURST: integer(1, 1_000_000, 60),
  RATE_LIMIT_AUTH_PER_MINUTE: integer(1, 1_000_000, 20),
  RATE_LIMIT_AUTH_BURST: integer(1, 1_000_000, 20),
  RATE_LIMIT_PRINCIPAL_PER_MINUTE: integer(1, 10_000_000, 6000),
  RATE_LIMIT_PRINCIPAL_BURST: integer(1, 1_000_000, 50),
  RATE_LIMIT_CREATE_PER_HOUR: integer(1, 10_000_000, 1000),
  RATE_LIMIT_CREATE_BURST: integer(1, 1_000_000, 50),
  RATE_LIMIT_MESSAGES_PER_SECOND: integer(1, 1_000_000, 100),
  RATE_LIMIT_MESSAGES_BURST: integer(1, 1_000_000, 20),
  // A message has 64 KiB at most.
  RATE_LIMIT_INPUT_BYTES_PER_SECOND: integer(65_536, 1_099_511_627_776, 1_048_576),
  LOCKOUT_FAILURES: integer(1, 10_000, 5),
  LOCKOUT_ADDRESS_FAILURES: integer(1, 10_000, 50),
  LOCKOUT_SECONDS: integer(1, 86_400, 300),
  LOCKOUT_MAX_SECONDS: integer(1, 86_400, 3600),
  CONNECTIONS_PER_PRINCIPAL: integer(1, 100_000, 50),
  CONNECTIONS_UNAUTHENTICATED: integer(1, 100_000, 200),
  HANDSHAKE_TIMEOUT_SECONDS: integer(1, 300, 30),
  API_KEY_MAX_LIFETIME_DAYS: integer(1, 36_500, 36_500),
  API_KEY_UNUSED_DAYS: integer(1, 3650, 90),
  ENABLE_CLIENT_AUTH: z.enum(['true'], { error: 'true: there is no Gatehouse without authentication' }).default('true'),
  BCRYPT_COST: integer(10, 14, 10),
  // The names of sockets follow, and a socket's whole path has 103 bytes at most.
  RUNNER_DIR: z
    .string()
    .regex(/^\/[\x21-\x7e]{1,83}$/, 'an absolute path of at most 84 characters, ASCII and without spaces')
    .optional(),
  RUNNER_HOST: host.optional(),
  RUNNER_CONTROL_PORT: digits(1, 65535).optional(),
  RUNNER_BYTES_PORT: digits(1, 65535).optional(),
  RUNNER_TLS_CERT: z.string().max(4096).optional(),
  RUNNER_TLS_KEY: z.string().max(4096).optional(),
  RUNNER_TLS_CA: z.string().max(4096).optional(),
  RUNNER_PERSIST: flag.default(false),
  SESSION_RING_BYTES: integer(65536, 268435456, 4194304),
  SESSION_RINGS_TOTAL_BYTES: integer(65536, 1_099_511_627_776, 1_073_741_824),
  SESSION_IDLE_TIMEOUT_SECONDS: integer(0, 31_536_000, 1800),
  SESSION_MAX_DURATION_SECONDS: integer(1, 31_536_000, 86_400),
  SESSIONS_PER_USER: integer(1, 100000, 10),
  SESSIONS_PER_TENANT: integer(1, 100000, 100),
  PROJECT_ROOTS: folders(),
  TRUSTED_REPOSITORIES: folders(),
  WORKTREE_ROOT: z.string().regex(/^\//, 'an absolute folder').max(4096).optional(),
  // Part of a ref, as git allows it, and no option.
  WORKTREE_BRANCH_PREFIX: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,30}(\/[A-Za-z0-9][A-Za-z0-9_-]{0,30}){0,3}\/$/, 'names that end with a slash')
    .default('gatehouse/'),
  WORKTREES_PER_USER: integer(1, 100_000, 20),
  WORKTREES_PER_TENANT: integer(1, 100_000, 200),
  SANDBOX: z.enum(SANDBOXES, { error: 'none or bwrap' }).default('none'),
  SANDBOX_READ_ONLY: folders(),
  AGENTS_CONFIG: z.string().max(4096).default('config/agents.yaml'),
  AGENTS_PER_USER: integer(1, 100_000, 10),
  AGENTS_PER_TENANT: integer(1, 100_000, 100),
  AGENT_MAX_RUN_SECONDS: integer(1, 31_536_000, 86_400),
  AGENT_MEMORY_BYTES: integer(0, 1_099_511_627_776, 0),
  AGENT_CPU_PERCENT: integer(0, 102_400, 0),
  NODE_NAME: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, '1 to 64 letters, digits, dots, dashes and underscores')
    .optional(),
  AUDIT_FAIL_MODE: z.enum(['closed', 'spool'], { error: 'closed or spool' }).default('closed'),
  AUDIT_SPOOL_MAX_BYTES: integer(65_536, 1_099_511_627_776, 1_073_741_824),
  AUDIT_SIGNING_KEY: z.string().max(4096).optional(),
  AUDIT_VERIFY_KEYS: z.string().max(4096).optional(),
  AUDIT_CHECKPOINT_FILE: z.string().max(4096).optional(),
  AUDIT_RETENTION_DAYS: integer(31, 36_500, 400),
  ALERTS_CONFIG: z.string().max(4096).default('config/alerts.yaml'),
  SLACK_WEBHOOK_URL: z.string().refine(isWebhookAddress, WEBHOOK_EXPECTED).optional(),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], { error: 'fatal, error, warn, info, debug or trace' })
    .default('info'),
  LOG_FORMAT: z.enum(['auto', 'json', 'pretty'], { error: 'auto, json or pretty' }).default('auto'),
});

export type Environment = z.infer<typeof environmentSchema>;

/** Names whose value must never be shown, not even in a message about a mistake in it. */
export const SECRET_VARIABLES: ReadonlySet<string> = new Set([
  ...['AUTH_SECRET', 'AUTH_SECRET_PREVIOUS', 'DATABASE_URL', 'REDIS_URL', 'SLACK_WEBHOOK_URL'],
  ...['ENCRYPTION_MASTER_KEY', 'ENCRYPTION_MASTER_KEY_PREVIOUS'],
]);

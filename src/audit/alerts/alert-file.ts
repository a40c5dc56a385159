import { z } from 'zod';
import type { Config } from '../../config/load.js';
import { DEFAULT_WEBHOOK, isWebhookVariable } from '../../config/webhooks.js';
import { YamlFile } from '../../config/yaml-file.js';
import { AUDIT_ACTIONS, type AuditAction } from '../../kernel/audit.js';
import { isSecretReference } from '../../kernel/secret-name.js';
import type { WebhookPlace } from './webhook-source.js';

/** Every event is held against every rule of its action, and every rule keeps its own counts. */
const MAX_RULES = 50;
const MAX_DESTINATIONS = 20;
const MAX_VALUES = 50;
const MAX_TEXT = 512;
const WEEK_SECONDS = 604_800;

/** The destination that every file has. */
const DEFAULT = 'default';

/** Injection token of the watched file. */
export const ALERTS_FILE = Symbol('ALERTS_FILE');

const name = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'not a name: 1 to 64 of a-z 0-9 _ -');
const text = z.string().min(1).max(MAX_TEXT);

/** One value or several, of which one is enough. */
const anyOf = <T extends z.ZodType<string | number | boolean>>(value: T) =>
  z.union([value, z.array(value).min(1).max(MAX_VALUES)], { error: 'neither a value nor a list of values' });

/** An action, or `area.*`. */
const action = z.string().transform((entry, context): readonly AuditAction[] => {
  const all = Object.keys(AUDIT_ACTIONS) as AuditAction[];
  const found = all.filter((each) => each === entry || (entry.endsWith('.*') && each.startsWith(entry.slice(0, -1))));
  if (found.length > 0) return found;
  context.addIssue({ code: 'custom', message: `there is no action ${JSON.stringify(entry.slice(0, 80))}` });
  return z.NEVER;
});
const actions = z
  .array(action)
  .min(1)
  .max(MAX_VALUES)
  .transform((lists): ReadonlySet<string> => new Set(lists.flat()));

const where = z.strictObject({
  tenant: anyOf(text).optional(),
  user_id: anyOf(text).optional(),
  principal_kind: anyOf(text).optional(),
  auth_method: anyOf(text).optional(),
  credential_id: anyOf(text).optional(),
  resource: anyOf(text).optional(),
  success: z.boolean().optional(),
  reason: anyOf(text).optional(),
  level: anyOf(z.enum(['info', 'warn', 'error'])).optional(),
  transport: anyOf(z.enum(['rest', 'grpc', 'websocket', 'system'])).optional(),
  remote_addr: anyOf(text).optional(),
  metadata: z
    .record(text, anyOf(z.union([text, z.number(), z.boolean()])))
    .refine((fields) => Object.keys(fields).length <= MAX_VALUES, `more than ${MAX_VALUES} fields`)
    .optional(),
});
/** What an event must have beside its action. */
export type Where = z.output<typeof where>;

const NO_VARIABLE = `neither ${DEFAULT_WEBHOOK} nor the name of a variable ALERT_WEBHOOK_…; addresses are not written here`;
const NO_SECRET = 'not the name of a stored secret, expected 1 to 100 letters, digits, dots, dashes and underscores';
const destination = z.union(
  [
    z.strictObject({ webhook: z.string().refine(isWebhookVariable, NO_VARIABLE) }),
    z.strictObject({ secret: z.string().refine(isSecretReference, NO_SECRET) }),
  ],
  { error: 'neither a webhook with its variable nor a secret with its name, and nothing else' },
);

const common = {
  name,
  where: where.default({}),
  send_to: z.array(name).min(1).max(MAX_DESTINATIONS).default([DEFAULT]),
  repeat_after_seconds: z.int().min(1).max(WEEK_SECONDS).default(3600),
};
const count = z.strictObject({
  ...common,
  kind: z.literal('count'),
  actions,
  at_least: z.int().min(2).max(1_000_000),
  // What is repeated by a stranger is told once a minute, with its number.
  within_seconds: z.int().min(60).max(86_400),
  group_by: z.enum(['address', 'user']).default('address'),
});
const any = z.strictObject({
  ...common,
  kind: z.literal('any'),
  actions,
  group_by: z.enum(['resource', 'address', 'user', 'tenant']).default('resource'),
});
const dormantFor = (retentionDays: number) =>
  z.strictObject({
    ...common,
    kind: z.literal('dormant'),
    days: z
      .int()
      .min(1)
      .max(retentionDays, `more than AUDIT_RETENTION_DAYS (${retentionDays}): what is older is not known any more`),
  });

export type CountRule = z.output<typeof count>;
export type AnyRule = z.output<typeof any>;
export type DormantRule = z.output<ReturnType<typeof dormantFor>>;
export type Rule = CountRule | AnyRule | DormantRule;

/** What alerts.yaml says, read and checked. */
export interface AlertConfig {
  readonly rules: readonly Rule[];
  /** Destination to where its address is. */
  readonly destinations: ReadonlyMap<string, WebhookPlace>;
}

/** What the file is held against. */
export type AlertEnvironment = Pick<Config, 'AUDIT_RETENTION_DAYS' | 'webhooks'>;

/** alerts.yaml, every mistake told with its path. */
export function alertFileSchema({ AUDIT_RETENTION_DAYS, webhooks }: AlertEnvironment): z.ZodType<AlertConfig> {
  return z
    .strictObject({
      destinations: z
        .record(name, destination)
        .refine((named) => Object.keys(named).length <= MAX_DESTINATIONS, `more than ${MAX_DESTINATIONS} destinations`)
        .default({}),
      rules: z
        .array(z.discriminatedUnion('kind', [count, any, dormantFor(AUDIT_RETENTION_DAYS)]))
        .max(MAX_RULES)
        .default([]),
    })
    .transform(({ rules, destinations: named }, context) => {
      const destinations = new Map<string, WebhookPlace>([[DEFAULT, { webhook: DEFAULT_WEBHOOK }]]);
      for (const [each, place] of Object.entries(named)) destinations.set(each, place);
      for (const { path, message } of mistakes({ rules, destinations }, webhooks))
        context.addIssue({ code: 'custom', path: [...path], message });
      return { rules, destinations };
    });
}

/**
 * Opens the file that ALERTS_CONFIG names; where there is none, there are no alerts.
 * @throws ConfigurationError with the path of every wrong field
 */
export const openAlertsFile = (config: Config): YamlFile<AlertConfig> =>
  new YamlFile(config.ALERTS_CONFIG, alertFileSchema(config));

interface Mistake {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** What is wrong between fields that are each right by themselves. */
function mistakes({ rules, destinations }: AlertConfig, webhooks: AlertEnvironment['webhooks']): Mistake[] {
  const names = rules.map((rule) => rule.name);
  return rules.flatMap((rule, index) => [
    ...(names.indexOf(rule.name) === index
      ? []
      : [{ path: ['rules', index, 'name'], message: `there are two rules ${rule.name}` }]),
    ...rule.send_to.flatMap((each, at) => {
      const path = ['rules', index, 'send_to', at];
      const place = destinations.get(each);
      if (place === undefined) return [{ path, message: `there is no destination ${each}` }];
      if ('secret' in place || webhooks.has(place.webhook)) return [];
      return [{ path, message: `${place.webhook} is not set` }];
    }),
  ]);
}

import { z } from 'zod';

/** A registry is written by people. */
const MAX_PROVIDERS = 100;
const MAX_CUSTOM = 100;
const MAX_PATTERNS = 16;
/** As many as the runner takes. */
const MAX_VERSION_ARGS = 8;
/** They are tried on the last lines of a screen, twice a second. */
const MAX_PATTERN = 200;

export const PROVIDER_ID = /^[a-z][a-z0-9-]{0,31}$/;
/** A file name to be found in PATH, and no path. */
const binaryName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/, 'the name of a program, without a slash');
const argument = z
  .string()
  .max(1024)
  .regex(/^[^\0]*$/, 'contains a NUL');
const args = z.array(argument).max(32);
const environment = z.record(z.string().regex(/^[A-Z_][A-Z0-9_]{0,63}$/, 'not a variable name'), argument);
const keys = z.string().min(1).max(64);

/** A regular expression that takes no longer the longer the text is: nothing in it is repeated twice over. */
const pattern = z
  .string()
  .min(1)
  .max(MAX_PATTERN)
  .refine(
    (text) => !/[*+}?]\)?[*+{]|\([^)]*[*+][^)]*\)[*+{]|\\[1-9]/.test(text),
    'repeats a repetition, or refers back',
  )
  .refine(isExpression, 'not a regular expression');
const patterns = z.array(pattern).max(MAX_PATTERNS);

const fields = {
  name: z.string().min(1).max(64),
  binary: binaryName,
  version_args: args.max(MAX_VERSION_ARGS),
  /** Given always. */
  args,
  /** Does it ask before it does something? One that does not, or of which that is not known, needs `approve: auto`. */
  asks: z.boolean(),
  /** Given so that it asks. */
  ask: z.strictObject({ args: args.default([]), env: environment.default({}) }),
  /** Variables that anybody may set for it, beside those that end like a credential. */
  env: z.array(z.string().regex(/^[A-Z_][A-Z0-9_]{0,63}$/, 'not a variable name')).max(64),
  prompt: z.discriminatedUnion('delivery', [
    z.strictObject({ delivery: z.enum(['typed', 'argument', 'stdin', 'acp']) }),
    z.strictObject({ delivery: z.literal('flag'), flag: argument }),
  ]),
  /** `{model}` stands for the model; null: it takes none. */
  model: z.strictObject({ args: args.default([]), env: environment.default({}) }).nullable(),
  /** What makes it permit itself everything; null: it cannot. */
  auto: z.strictObject({ args: args.default([]), env: environment.default({}) }).nullable(),
  /** Names a new conversation; `{session}` stands for a UUID. Null: it chooses a name itself. */
  session_args: args.nullable(),
  /** Takes up a conversation: `{session}`, or without it the last one of the folder. Null: it cannot. */
  resume_args: args.nullable(),
  hooks: z.enum(['claude', 'notify', 'none']),
  /** Speaks the Agent Client Protocol with `args`. */
  acp: z.boolean(),
  screen: z.strictObject({ ready: patterns.default([]), waiting: patterns.default([]), login: patterns.default([]) }),
  keys: z.strictObject({ approve: keys, deny: keys, submit: keys, stop: z.array(keys).min(1).max(8) }),
  quiet_seconds: z.number().min(0.5).max(600),
} as const;

/** How one provider is started, told what to do, and watched. */
export const providerSchema = z.strictObject(fields);
export type Provider = Readonly<z.output<typeof providerSchema>>;

/** What is not said of a provider of one's own. */
export const DEFAULTS = {
  version_args: ['--version'],
  args: [],
  asks: true,
  ask: { args: [], env: {} },
  env: [],
  prompt: { delivery: 'typed' },
  model: null,
  auto: null,
  session_args: null,
  resume_args: null,
  hooks: 'none',
  acp: false,
  screen: { ready: [], waiting: [], login: [] },
  // Enter takes the first choice, Escape none; twice Ctrl-C ends nearly every one of them.
  keys: { approve: '\r', deny: '\x1b', submit: '\r', stop: ['\x03', '\x03'] },
  quiet_seconds: 5,
} as const satisfies Omit<Provider, 'name' | 'binary'>;

const changes = z.strictObject({
  ...z.strictObject(fields).partial().shape,
  keys: fields.keys.partial().optional(),
  screen: fields.screen.optional(),
});

/** agents.yaml: providers of one's own, and changes of those built in; `null` takes one away. */
export const providerFileSchema = z.strictObject({
  providers: z
    .record(z.string().regex(PROVIDER_ID, 'not an id: a-z 0-9 -, beginning with a letter'), changes.nullable())
    .refine((all) => Object.keys(all).length <= MAX_PROVIDERS, `more than ${MAX_PROVIDERS} providers`)
    .default({}),
  /** Programs that the provider `custom` may start; none: it may not. */
  custom: z.array(binaryName).max(MAX_CUSTOM).default([]),
});
export type ProviderFile = z.output<typeof providerFileSchema>;

function isExpression(text: string): boolean {
  try {
    // With the flags that the runner tries it with.
    new RegExp(text, 'im');
    return true;
  } catch {
    return false;
  }
}

import { z } from 'zod';
import type { Config } from '../../config/load.js';
import { YamlFile } from '../../config/yaml-file.js';
import { BUILT_IN, CUSTOM } from './built-in.js';
import { DEFAULTS, type Provider, type ProviderFile, providerFileSchema, providerSchema } from './provider.schema.js';

/** Which providers there are. */
export interface Registry {
  readonly providers: ReadonlyMap<string, Provider>;
  /** Programs that `custom` may start. */
  readonly custom: ReadonlySet<string>;
}

/** Injection token of the watched file. */
export const PROVIDER_FILE = Symbol('PROVIDER_FILE');

/**
 * Opens the file that AGENTS_CONFIG names; where there is none the built-in providers stand by themselves.
 * @throws ConfigurationError with the path of every wrong field
 */
export const openProviderFile = (config: Config): YamlFile<Registry> =>
  new YamlFile(config.AGENTS_CONFIG, registrySchema);

/** agents.yaml over what is built in, every mistake told with its path. */
export const registrySchema: z.ZodType<Registry> = z.unknown().transform((content, context) => {
  const parsed = providerFileSchema.safeParse(content);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) context.addIssue({ code: 'custom', path: [...path], message });
    return z.NEVER;
  }
  const providers = new Map<string, Provider>(Object.entries(BUILT_IN));
  for (const [id, changes] of Object.entries(parsed.data.providers)) {
    if (changes === null) {
      providers.delete(id);
      continue;
    }
    const changed = providerSchema.safeParse(merged(BUILT_IN[id], changes));
    if (changed.success) providers.set(id, changed.data);
    else {
      for (const { path, message } of changed.error.issues) {
        context.addIssue({ code: 'custom', path: ['providers', id, ...path], message });
      }
    }
  }
  if (providers.has(CUSTOM)) {
    context.addIssue({
      code: 'custom',
      path: ['providers', CUSTOM],
      message: 'its programs are listed under "custom"',
    });
  }
  return { providers, custom: new Set(parsed.data.custom) };
});

type Changes = NonNullable<ProviderFile['providers'][string]>;

const merged = (base: Provider | undefined, { keys, ...changes }: Changes): unknown => ({
  ...DEFAULTS,
  ...base,
  ...changes,
  keys: { ...DEFAULTS.keys, ...base?.keys, ...keys },
});

import { z } from 'zod';

const MAX_PATH = 8;

/** Where a claim is found: the member names on the way to it, outermost first. */
export type ClaimPath = readonly string[];

/** A list of names in the token: a JSON array or, with `string`, text that is one name or several with a separator. */
export interface ListSource {
  readonly path: ClaimPath;
  readonly format: 'array' | 'string';
  readonly separator?: string;
}

/** The path that is written: a name that is an address is one claim, whatever dots it has. */
export const claimPath = (written: string): ClaimPath => (written.includes('://') ? [written] : written.split('.'));

const claim = z
  .string()
  .min(1)
  .max(256)
  .transform(claimPath)
  .refine((path) => path.length <= MAX_PATH && path.every((name) => name !== ''), 'a claim, or a dotted path to one');

const list = z.union(
  [
    claim.transform((path): ListSource => ({ path, format: 'array' })),
    z
      .strictObject({ claim, format: z.literal('string'), separator: z.enum([' ', ',', ';']).optional() })
      .transform(({ claim: path, format, separator }): ListSource => ({
        path,
        format,
        ...(separator === undefined ? {} : { separator }),
      })),
  ],
  { error: 'a claim, a dotted path to one, or {claim, format: string, separator?}' },
);

/** `claim_mappings` of auth.yaml. */
export const claimMappingsSchema = z.strictObject({
  subject: claim.optional(),
  email: claim.optional(),
  name: claim.optional(),
  groups: list.optional(),
  roles: list.optional(),
  tenant: claim.optional(),
});

export type ClaimMappings = z.infer<typeof claimMappingsSchema>;

import { describe, expect, it } from '@jest/globals';
import { authFileSchema } from '../../src/auth/providers/auth-config.js';
import { YamlFile } from '../../src/config/yaml-file.js';

describe('config/auth.example.yaml', () => {
  const read = (path: string) =>
    new YamlFile(path, authFileSchema({ production: true, AUTH_JWKS_PROVIDERS: undefined })).value;

  it('is valid in production, and shows the defaults beside its providers', () => {
    const { jwks_providers: shown, ...rest } = read('config/auth.example.yaml');
    const { jwks_providers: none, ...defaults } = read('config/there-is-none.yaml');
    expect(rest).toEqual(defaults);
    expect([shown.length, none.length]).toEqual([3, 0]);
  });
});

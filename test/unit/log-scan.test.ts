import { describe, expect, it } from '@jest/globals';
import { generateKey } from '../../src/kernel/api-key-text.js';
import { maskLine } from '../../src/kernel/mask-line.js';
import { neverPrinted, requireNoSecrets, secretsOf } from '../support/log-scan.js';

const key = generateKey('gh_test').text;
const WELCOME = `\nThe key:\n  ${key}\n\n  GATEHOUSE_URL=http://127.0.0.1:1 GATEHOUSE_TOKEN=${key} npx gatehouse run\n`;
const environment = {
  AUTH_SECRET: 'a-secret-of-the-scan',
  DATABASE_URL: 'postgres://me:a-password-of-it@db/x',
  RUNNER_TLS_KEY: '/the/path/of/a.key',
};
const known = secretsOf(environment);

describe('the scan of what a gateway prints', () => {
  it.each([
    ['AUTH_SECRET', '{"msg":"with a-secret-of-the-scan"}'],
    ['the password of DATABASE_URL', '{"msg":"a-password-of-it"}'],
    ['a token of a test', `{"msg":"${neverPrinted('a token of a test', 'made-for-this-test')}"}`],
    ['gh_test', `{"msg":"${key}"}`],
    ['gh_test', `  ${generateKey('gh_test').text}`],
    ['jwt', ['{"msg":"eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiJhIn0', 'c2lnbmF0dXJl"}'].join('.')],
  ])('finds %s, and tells the line and not the secret', (kind, line) => {
    const scan = (): void => {
      requireNoSecrets(`${WELCOME}{"msg":"fine"}\n${line}\n`, known);
    };
    expect(scan).toThrow(new Error(`a secret was printed: ${kind}, in line 7`));
  });

  it('passes the first key where it is shown to a person, files, and what is masked', () => {
    const masked = maskLine(JSON.stringify({ msg: `with ${key} and postgres://me:secretsecret@db/x` }));
    requireNoSecrets(`${WELCOME}${masked}{"msg":"/the/path/of/a.key"}\n`, known);
  });
});

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { AUDIT_ACTIONS } from '../../src/kernel/audit.js';

describe('the catalogue of audit actions', () => {
  const source = readFileSync('src/kernel/audit.ts', 'utf8');

  it('says of every action when it is recorded', () => {
    const explained = [
      ...source.matchAll(/^ {2}\/\*\* [A-Z][^\n]*[^ ] \*\/\n {2}'([a-z_.]+)': '(?:info|warn|error)',$/gm),
    ];
    expect(explained.map(([, action]) => action)).toEqual(Object.keys(AUDIT_ACTIONS));
  });
});

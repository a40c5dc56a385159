import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const pages = [
  'README.md',
  'SECURITY.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
const read = (path: string): string => readFileSync(resolve(path), 'utf8');
/** Prose, without blocks and code. */
const prose = (text: string): string => text.replace(/^```.*?^```/gms, '').replace(/`[^`\n]*`/g, '');

/** What a heading is called in an address: lower case, hyphens for spaces, no punctuation. */
const anchors = (text: string): string[] =>
  [...text.replace(/^```.*?^```/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );

function broken(page: string): string[] {
  const targets = [...prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? page : join(dirname(page), path);
    if (!existsSync(file)) return true;
    return anchor !== undefined && !anchors(read(file)).includes(anchor);
  });
}

describe('the documentation', () => {
  it.each(pages)('%s links only to what there is', (page) => {
    expect(broken(page)).toEqual([]);
  });

  it('names tests that exist', () => {
    // `file` “name”, “another name of it”. The rows of the table of attacks are in a file beside it.
    const named = [...read('docs/security.md').matchAll(/`(test\/[\w./-]+\.ts)`((?::?,? ?\s?“[^”]+”)+)/g)];
    expect(named.length).toBeGreaterThan(40);
    const missing = named.flatMap(([, file = '', names = '']) => {
      const text = existsSync(file) ? read(file) + read('test/support/token-attacks.ts') : '';
      const wanted = [...names.matchAll(/“([^”]+)”/g)].map(([, name = '']) => name.replace(/\s+/g, ' '));
      return wanted.filter((name) => !text.includes(name)).map((name) => `${file}: ${name}`);
    });
    expect(missing).toEqual([]);
  });
});

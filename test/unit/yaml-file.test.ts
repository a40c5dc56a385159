import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { z } from 'zod';
import type { ConfigurationError } from '../../src/config/load.js';
import { YamlFile } from '../../src/config/yaml-file.js';
import { parseYaml } from '../../src/config/yaml-text.js';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-yaml-'));
const path = join(folder, 'file.yaml');
const schema = z.strictObject({ deny: z.array(z.string()).default([]) });

describe('a watched YAML file', () => {
  let told: unknown[];
  let file: YamlFile<z.output<typeof schema>>;
  let written = 0;

  /** Writes it with a time of its own, so that every state can be told from the one before. */
  function write(text: string): void {
    writeFileSync(path, text);
    written += 1;
    utimesSync(path, written, written);
  }
  /** That many looks. */
  const look = (times: number): void => {
    jest.advanceTimersByTime(times * 1000);
  };

  beforeEach(() => {
    jest.useFakeTimers();
    told = [];
    write('deny: [all]\n');
    file = new YamlFile(path, schema);
    file.watch({
      changed: (value) => told.push(value.deny),
      rejected: ({ problems }: ConfigurationError) => told.push(problems.join()),
    });
  });
  afterEach(() => {
    file.close();
    jest.useRealTimers();
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('applies a change that two looks in a row found', () => {
    write('deny: [some]\n');
    look(1);
    expect(told).toEqual([]);
    look(1);
    expect([told, file.value]).toEqual([[['some']], { deny: ['some'] }]);
  });

  it('applies nothing while it is being written', () => {
    for (const part of ['', 'deny:', 'deny: []']) {
      write(part);
      look(1);
    }
    write('deny: [all, more]\n');
    look(2);
    expect(told).toEqual([['all', 'more']]);
  });

  it.each(['', '\n\n', '# only\n# comments\n', '---\n', 'null\n'])(
    'keeps its rules when it is emptied to %j',
    (text) => {
      write(text);
      look(5);
      expect(told).toEqual([expect.stringContaining('the file is empty')]);
      expect(file.value).toEqual({ deny: ['all'] });
    },
  );

  it('is emptied by saying so', () => {
    write('{}\n');
    look(2);
    expect(told).toEqual([[]]);
  });

  it('that is taken away, or grows too large, is told once', () => {
    rmSync(path);
    look(5);
    write(`# ${'x'.repeat(1024 * 1024)}`);
    look(5);
    expect(told).toEqual([expect.stringContaining('is gone'), expect.stringContaining('larger than')]);
    expect(file.value).toEqual({ deny: ['all'] });
  });
});

describe('a YAML text', () => {
  it('is read as it stands', () => {
    const text =
      'a: &x !!str\n  text\nb:\n- [1, {c: 2}]\n- - d: |\n      --[[[\n      {{\n    e: "q"\n  # [[\n? f\n: g\n';
    expect(parseYaml(text)).toEqual({ a: 'text', b: [[1, { c: 2 }], [{ d: '--[[[\n{{\n', e: 'q' }]], f: 'g' });
    expect(parseYaml('# nothing\n')).toBeNull();
  });

  it('has many bindings in it', () => {
    const line = (_: unknown, at: number): string => `- { role: user, subjects: [{ provider: okta, name: s${at} }] }`;
    expect(parseYaml(Array.from({ length: 10_000 }, line).join('\n'))).toHaveLength(10_000);
  });

  const names = (count: number, by: string): string => Array.from({ length: count }, (_, at) => `k${at}: 1`).join(by);
  it.each([
    ['a name that is there twice', 'a: 1\nb: { c: 1, "c": 2 }\n', /"c" is there twice/],
    ['a number and a text that are one name', '1: a\n"1": b\n', /"1" is there twice/],
    ['a name that schemas do not see', 'a: { __proto__: 1 }', /nothing can be called __proto__/],
    ['a list as a name', '[a]: 1', /a name is a text/],
    ['an alias', 'a: &x [1]\nb: *x\n', /aliases are not supported/],
    ['two documents', 'a: 1\n---\nb: 2\n', /multiple documents/],
    ['a bracket that is not closed', 'a: [1\n', /at line \d/],
    ['too many names on lines', names(20_000, '\n'), /more than 10000 names/],
    ['too many names on one line', `{${names(20_000, ', ')}}`, /more than 10000 names/],
    ['too many lines', '\n'.repeat(60_000), /more than 50000 lines/],
    ['too many words', `[${'a,'.repeat(400_000)}]`, /more than 600000 words/],
    ['too much', 'x'.repeat(1024 * 1024 + 1), /longer than/],
    ['brackets in brackets', '['.repeat(1_000_000), /nested deeper than 32/],
    ['braces in braces', '{a: '.repeat(250_000), /nested deeper than 32/],
    ['lists on one line', '- '.repeat(500_000), /nested deeper than 32/],
    ['names on one line', 'a: '.repeat(300_000), /nested deeper than 32/],
    ['questions on one line', '? '.repeat(500_000), /nested deeper than 32/],
    [
      'deeper lines',
      Array.from({ length: 1000 }, (_, at) => `${' '.repeat(at)}a:`).join('\n'),
      /nested deeper than 32/,
    ],
    ['one list after another', '[]'.repeat(500_000), /at line 1/],
  ])('with %s is refused', (_, text, words) => {
    expect(() => parseYaml(text)).toThrow(words);
  });
});

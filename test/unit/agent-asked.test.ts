import { describe, expect, it } from '@jest/globals';
import { AskedPermissions, MAX_WAITING_QUESTIONS } from '../../src/runner/agent/asked-permissions.js';
import { shortened } from '../../src/runner/agent/shortened.js';

const asked = (name: string, input = '') => ({ kind: 'permission' as const, text: name, call: { name, input } });

describe('what hooks have asked permission for', () => {
  it('is settled by the same call of the same tool alone', () => {
    const all = new AskedPermissions();
    all.add(asked('Edit', 'a'));
    all.add(asked('Edit', 'b'));
    for (const call of [asked('Bash', 'a'), asked('Edit', 'c')]) all.settle(call.call);
    expect(all.first).toEqual(asked('Edit', 'a'));
    all.settle(asked('Edit', 'b').call);
    all.settle(asked('Edit').call);
    expect(all.first).toBeUndefined();
  });

  it('is kept up to a limit', () => {
    const all = new AskedPermissions();
    for (let index = 0; index < MAX_WAITING_QUESTIONS + 5; index += 1) all.add(asked(String(index)));
    let kept = 0;
    while (all.first) {
      all.shift();
      kept += 1;
    }
    expect(kept).toBe(MAX_WAITING_QUESTIONS + 1);
  });
});

describe('a long text', () => {
  it('keeps its beginning and its end, and says how much is missing', () => {
    expect(shortened('short', 2048)).toBe('short');
    expect(shortened('x'.repeat(2048), 2048)).toHaveLength(2048);
    expect(shortened(`a${'x'.repeat(3000)}z`, 2048)).toMatch(/^ax{991} … 1018 characters left out … x{991}z$/);
    const wide = shortened(`a${'😀'.repeat(1000)}`, 2048);
    expect(wide).not.toContain('\ufffd');
    expect(Buffer.byteLength(wide)).toBeLessThanOrEqual(2048);
    const [head = '', missing, tail = ''] = wide.split(/ … (?:(\d+) characters left out … )?/);
    expect(Array.from(head).length + Number(missing) + Array.from(tail).length).toBe(1001);
  });
});

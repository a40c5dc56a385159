import '../support/nest-first.js';
import { describe, expect, it } from '@jest/globals';
import { Counter, MAX_SERIES } from '../../src/kernel/counter.js';
import { PrometheusMetrics } from '../../src/metrics/prometheus-metrics.js';

describe('the figures of a room', () => {
  const many = Array.from({ length: MAX_SERIES + 50 }, (_, index) => `route-${String(index)}`);

  it('have a bounded number of label values, and lose no count beyond it', () => {
    const counter = new Counter(['route', 'status']);
    for (const route of many) counter.add({ route, status: '200' });
    for (const route of many) counter.add({ route, status: '200' });
    const cells = [...counter.cells];
    expect(cells).toHaveLength(MAX_SERIES + 1);
    expect(cells.at(-1)).toEqual({ labels: { route: 'other', status: 'other' }, value: 100 });
    expect(cells.reduce((sum, { value }) => sum + value, 0)).toBe(2 * many.length);
  });

  it('that are durations have the same bound', async () => {
    const metrics = new PrometheusMetrics();
    const durations = metrics.durations({ name: 'took_seconds', help: 'x' }, ['route']);
    for (const route of many) durations.observe({ route }, 0.01);
    const counts = (await metrics.text()).split('\n').filter((line) => line.startsWith('gatehouse_took_seconds_count'));
    expect(counts).toHaveLength(MAX_SERIES + 1);
    expect(counts.at(-1)).toBe('gatehouse_took_seconds_count{route="other"} 50');
  });

  it('are left out when they cannot be read, and are right when two ask at once', async () => {
    const metrics = new PrometheusMetrics();
    let there = true;
    metrics.read('gauge', { name: 'level', help: 'x' }, async () => {
      await new Promise((done) => setImmediate(done));
      if (!there) throw new Error('away');
      return [{ value: 7 }];
    });
    for (const text of await Promise.all([metrics.text(), metrics.text()]))
      expect(text).toMatch(/^gatehouse_level 7$/m);
    there = false;
    const text = await metrics.text();
    expect(text).toContain('# TYPE gatehouse_level gauge');
    expect(text).not.toMatch(/^gatehouse_level\b/m);
  });
});

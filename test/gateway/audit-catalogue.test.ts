import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AUDIT_ACTIONS, type AuditAction } from '../../src/kernel/audit.js';
import { agentCases } from '../support/catalogue/agents.js';
import type { Case } from '../support/catalogue/case.js';
import { credentialCases, keyCases } from '../support/catalogue/credentials.js';
import { permissionCases } from '../support/catalogue/permissions.js';
import { secretCases } from '../support/catalogue/secrets.js';
import { sessionCases, startCases, stopCases } from '../support/catalogue/sessions.js';
import { tlsCases } from '../support/catalogue/tls.js';
import { CatalogueWorld } from '../support/catalogue/world.js';
import { trailCases } from '../support/catalogue/trail.js';
import { worktreeCases } from '../support/catalogue/worktrees.js';
import { comparable, type Expected, says } from '../support/trail-match.js';

/** In this order: what the gateway does once comes first, what it does not survive unchanged last. */
const CASES: Readonly<Record<string, Case>> = {
  ...keyCases,
  ...startCases,
  ...tlsCases,
  ...stopCases,
  ...credentialCases,
  ...permissionCases,
  ...secretCases,
  ...worktreeCases,
  ...sessionCases,
  ...agentCases,
  ...trailCases,
};
const outcomes = Object.entries(CASES).flatMap(([action, made]) =>
  (['success', 'failure'] as const).filter((kind) => made[kind] !== undefined).map((kind) => [action, kind] as const),
);

const RAISED: Readonly<Record<string, string>> = { info: 'warn', warn: 'warn', error: 'error' };
const levelOf = (action: string, success: boolean): string => {
  const level = AUDIT_ACTIONS[action as AuditAction];
  return success ? level : (RAISED[level] ?? level);
};

describe('every action of the catalogue happens and is on record once, in PostgreSQL and in the log', () => {
  let world: CatalogueWorld;

  beforeAll(async () => {
    world = await CatalogueWorld.start();
  });
  afterAll(() => world.remove());

  /** Rows are written in order, and this one is waited for: what was noted before is there after it. */
  const settled = async (): Promise<void> => {
    expect((await world.call(world.root, 'POST', '/auth/tokens', {})).status).toBe(201);
  };
  const rowsOf = async (wanted: Expected): Promise<Record<string, unknown>[]> =>
    (await world.gateway.query('SELECT * FROM audit_trail')).filter((row) => says(row, wanted));

  it('there is a case for each', () => {
    expect(Object.keys(CASES).sort()).toEqual(Object.keys(AUDIT_ACTIONS).sort());
    expect(Object.values(CASES).filter(({ success, failure }) => (success ?? failure) === undefined)).toEqual([]);
  });

  it.each(outcomes)('%s (%s)', async (action, kind) => {
    const happened = (await CASES[action]?.[kind]?.(world)) ?? [];
    expect(happened).not.toEqual([]);
    for (const { event, log = world.gateway } of happened) {
      const success = kind === 'success';
      const wanted = { ...event, action, success, level: levelOf(action, success) };
      await world.gateway.audit({ action, success });
      await settled();
      const rows = await rowsOf(wanted);
      expect([wanted, rows.length]).toEqual([wanted, 1]);
      const lines = log.log.filter((line) => line['audit'] === true && says(line, wanted));
      expect(lines.map(comparable)).toEqual(rows.map(comparable));
    }
  });
});

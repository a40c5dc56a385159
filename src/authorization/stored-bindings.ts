import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { Read } from '../database/feed-connection.js';
import type { SecurityChange } from '../database/security-feed.js';
import { type Binding, BindingIndex } from './bindings.js';
import type { RoleBindingEntity } from './role-binding.entity.js';

/** Bindings of all tenants together that a gateway keeps in memory. */
export const MAX_BINDINGS = 200_000;
const PAGE = 5000;
const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const SELECT = `
  SELECT id, tenant, role, member_kind AS "memberKind", member_provider AS "memberProvider", member FROM role_bindings`;

type Row = Pick<RoleBindingEntity, 'id' | 'tenant' | 'role' | 'memberKind' | 'memberProvider' | 'member'>;

/**
 * The bindings made at run time, of every tenant, as this gateway knows them. Roles keep the name they were stored under.
 *
 * More than can be kept are there only when they were put into the table by hand. Then what is known stays in force, what
 * is removed goes, and nothing is added until there is room: a reader that gave up would stop every call instead.
 */
@Injectable()
export class StoredBindings {
  #byId = new Map<string, Binding>();
  #index = BindingIndex.empty;
  #complete = true;
  #loaded = false;

  constructor(private readonly logger: PinoLogger) {}

  get index(): BindingIndex {
    return this.#index;
  }

  get count(): number {
    return this.#byId.size;
  }

  /** Is everything in force that the table holds? */
  get complete(): boolean {
    return this.#complete;
  }

  /**
   * Reads all of them anew.
   * @throws Error when there are more than can be kept and none are known yet: without them it would not be known whom
   *   deny rules for roles meet
   */
  async loadAll(read: Read): Promise<void> {
    const rows = await allOf(read);
    if (rows === null && !this.#loaded) throw new Error(TOO_MANY);
    const known = [...this.#byId.keys()];
    const kept = rows ?? (await read<Row>(`${SELECT} WHERE id = ANY ($1)`, [known]));
    this.#byId = new Map(kept.map((row) => [row.id, toBinding(row)]));
    this.#index = BindingIndex.of([...this.#byId.values()]);
    this.#loaded = true;
    this.#note(rows !== null);
  }

  /** Reads those that changed. */
  async load(changes: readonly SecurityChange[], read: Read): Promise<void> {
    const ids = [...new Set(changes.map(({ key }) => key))];
    const rows = await read<Row>(`${SELECT} WHERE id = ANY ($1)`, [ids]);
    const removed = ids.flatMap((id) => this.#byId.get(id) ?? []);
    const room = this.#byId.size - removed.length + rows.length <= MAX_BINDINGS;
    const taken = room ? rows : rows.filter(({ id }) => this.#byId.has(id));
    this.#index = this.#index.with({ removed, added: taken.map(toBinding) });
    ids.forEach((id) => this.#byId.delete(id));
    taken.forEach((row) => this.#byId.set(row.id, toBinding(row)));
    if (!room) this.#note(false);
    else if (!this.#complete) await this.loadAll(read);
  }

  #note(complete: boolean): void {
    if (this.#complete && !complete) this.logger.error(`${TOO_MANY} New ones are not in force.`);
    if (!this.#complete && complete) this.logger.info('all rows of role_bindings are in force again');
    this.#complete = complete;
  }
}

const TOO_MANY = `There are more than ${MAX_BINDINGS} rows in role_bindings.`;

/** Every row; null when there are more than can be kept. */
async function allOf(read: Read): Promise<Row[] | null> {
  const all: Row[] = [];
  for (let after: string | undefined = FIRST_ID; after !== undefined;) {
    const rows: Row[] = await read<Row>(`${SELECT} WHERE id > $1 ORDER BY id LIMIT ${PAGE}`, [after]);
    all.push(...rows);
    if (all.length > MAX_BINDINGS) return null;
    after = rows.length === PAGE ? rows.at(-1)?.id : undefined;
  }
  return all;
}

const toBinding = ({ tenant, role, memberKind, memberProvider, member }: Row): Binding => ({
  ...{ tenant, role },
  member: { kind: memberKind, provider: memberProvider, name: member },
});

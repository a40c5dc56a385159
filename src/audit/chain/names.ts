import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { TenantScope } from '../../database/tenant-scope.js';
import type { AuditDraft, AuditEvent } from '../record/audit-event.js';

/** How long a token goes on being used without a look whether its person was erased meanwhile, by any gateway. */
const KNOWN_MS = 60_000;
const MAX_KNOWN = 50_000;
/** 128 bits, which nobody guesses and no two people share. */
const TOKEN_BYTES = 16;

/** What of a person a token stands for. */
export type NameKind = 'user_id' | 'remote_addr' | 'user_agent';

/** One row of `audit_names`. */
export interface NameRow {
  readonly token: string;
  readonly tenant: string;
  readonly provider: string;
  readonly subject: string;
  readonly kind: NameKind;
  readonly value: string;
}
type Name = Omit<NameRow, 'token'>;

/** Events with tokens in the place of names. */
export interface Concealed {
  readonly pairs: readonly { readonly draft: AuditDraft; readonly event: AuditEvent }[];
  /** Names that are to be stored with the events, in the same transaction. */
  readonly fresh: readonly NameRow[];
}

const COLUMNS = ['tenant', 'provider', 'subject', 'kind', 'value'] as const;
const FIND = `
  SELECT n.token, n.tenant, n.provider, n.subject, n.kind, n.value
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS w (tenant, provider, subject, kind, value)
  JOIN audit_names n ON n.tenant = w.tenant AND n.kind = w.kind AND md5(n.value) = md5(w.value)
    AND n.value = w.value AND n.provider = w.provider AND n.subject = w.subject`;

/** Is this text a token, by its form? */
export const isNameToken = (text: string): boolean => /^p_[A-Za-z0-9_-]{22}$/.test(text);

/**
 * Tokens for what is personal in events. They are made at random, so that nothing leads back from a token to a person once
 * its row is deleted: a keyed hash could be computed anew by who has the key and a guess. The same value of the same person
 * has the same token as a rule; two gateways that meet it at once make two, which both mean it.
 */
export class Names {
  readonly #known = new LRUCache<string, string>({ max: MAX_KNOWN, ttl: KNOWN_MS });

  constructor(private readonly scope: TenantScope) {}

  /**
   * Puts tokens in the place of names.
   * @throws the driver's error when tokens cannot be looked up
   */
  async conceal(drafts: readonly AuditDraft[]): Promise<Concealed> {
    const tokens = new Map<string, string>();
    const unknown = new Map<string, Name>();
    for (const name of drafts.flatMap(namesOf)) {
      const key = keyOf(name);
      const token = this.#known.get(key);
      if (token === undefined) unknown.set(key, name);
      else tokens.set(key, token);
    }
    for (const row of await this.#stored([...unknown.values()])) {
      tokens.set(keyOf(row), row.token);
      this.#known.set(keyOf(row), row.token);
      unknown.delete(keyOf(row));
    }
    const fresh = [...unknown.values()].map((name) => ({ ...name, token: newToken() }));
    for (const row of fresh) tokens.set(keyOf(row), row.token);
    return { pairs: drafts.map((draft) => ({ draft, event: concealed(draft, tokens) })), fresh };
  }

  async #stored(names: readonly Name[]): Promise<NameRow[]> {
    if (names.length === 0) return [];
    const rows: unknown = await this.scope.system((manager) =>
      manager.query(
        FIND,
        COLUMNS.map((column) => names.map((name) => name[column])),
      ),
    );
    return rows as NameRow[];
  }

  /** These are stored now, and can be used again without a look. */
  remember(rows: readonly NameRow[]): void {
    for (const row of rows) this.#known.set(keyOf(row), row.token);
  }

  /** Somebody was erased: what is known is looked up again. */
  forget(): void {
    this.#known.clear();
  }
}

const newToken = (): string => `p_${randomBytes(TOKEN_BYTES).toString('base64url')}`;

const keyOf = ({ tenant, provider, subject, kind, value }: Name): string =>
  JSON.stringify([tenant, provider, subject, kind, value]);

/** Everything in an event that is somebody's. */
function namesOf({ event, provider, people }: AuditDraft): Name[] {
  const { tenant, user_id: subject, remote_addr, user_agent, metadata } = event;
  const named = Object.entries(people).map(([field, of]) => personName(tenant, of, String(metadata[field])));
  if (provider === null) return named;
  const own = { tenant, provider, subject };
  return [
    ...named,
    personName(tenant, provider, subject),
    { ...own, kind: 'remote_addr', value: remote_addr },
    ...(user_agent === null ? [] : [{ ...own, kind: 'user_agent' as const, value: user_agent }]),
  ];
}

const personName = (tenant: string, provider: string, subject: string): Name => ({
  ...{ tenant, provider, subject },
  ...{ kind: 'user_id', value: subject },
});

function concealed({ event, provider, people }: AuditDraft, tokens: ReadonlyMap<string, string>): AuditEvent {
  const { tenant, user_id: subject, remote_addr, user_agent } = event;
  const tokenOf = (name: Name): string => tokens.get(keyOf(name)) ?? '';
  const metadata = { ...event.metadata };
  for (const [field, of] of Object.entries(people))
    metadata[field] = tokenOf(personName(tenant, of, String(metadata[field])));
  if (provider === null) return { ...event, metadata };
  const own = { tenant, provider, subject };
  return {
    ...event,
    metadata,
    user_id: tokenOf(personName(tenant, provider, subject)),
    remote_addr: tokenOf({ ...own, kind: 'remote_addr', value: remote_addr }),
    user_agent: user_agent === null ? null : tokenOf({ ...own, kind: 'user_agent', value: user_agent }),
  };
}

import type { Principal } from '../kernel/principal.js';

/** Who a role is bound to. A group is that of one provider, as a subject is. */
export interface Member {
  readonly kind: 'subject' | 'group';
  readonly provider: string;
  readonly name: string;
}

/** A role given to a member, in one tenant. */
export interface Binding {
  readonly tenant: string;
  readonly role: string;
  readonly member: Member;
}

/** The bindings of one tenant. */
interface OfTenant {
  /** Stands for this content; another content has another number. */
  readonly version: number;
  /** Member, as `memberKey` writes it → roles. */
  readonly roles: ReadonlyMap<string, readonly string[]>;
}

let versions = 0;

/** Bindings by tenant and member. Immutable: a change makes a new index, so that a policy that was handed out stays. */
export class BindingIndex {
  static readonly empty = new BindingIndex(new Map());

  private constructor(private readonly tenants: ReadonlyMap<string, OfTenant>) {}

  static of(bindings: readonly Binding[]): BindingIndex {
    return BindingIndex.empty.with({ added: bindings, removed: [] });
  }

  /** The roles that are bound to these very members, each as `memberKey` writes it. */
  rolesOf(tenant: string, members: readonly string[]): readonly string[] {
    const ofTenant = this.tenants.get(tenant);
    return ofTenant === undefined ? [] : members.flatMap((member) => ofTenant.roles.get(member) ?? []);
  }

  /** A number that changes when bindings of this tenant do, and not when others do. */
  versionOf(tenant: string): number {
    return this.tenants.get(tenant)?.version ?? 0;
  }

  /** The same index after a change; a binding that is in both lists is in it afterwards. */
  with({ added, removed }: { readonly added: readonly Binding[]; readonly removed: readonly Binding[] }): BindingIndex {
    const changed = new Map<string, Map<string, readonly string[]>>();
    for (const { tenant } of [...removed, ...added]) {
      if (!changed.has(tenant)) changed.set(tenant, new Map(this.tenants.get(tenant)?.roles));
    }
    for (const { tenant, role, member } of removed) {
      const [ofTenant, key] = [changed.get(tenant), memberKey(member)];
      const left = (ofTenant?.get(key) ?? []).filter((each) => each !== role);
      if (left.length > 0) ofTenant?.set(key, left);
      else ofTenant?.delete(key);
    }
    for (const { tenant, role, member } of added) {
      const [ofTenant, key] = [changed.get(tenant), memberKey(member)];
      const before = ofTenant?.get(key) ?? [];
      if (!before.includes(role)) ofTenant?.set(key, [...before, role]);
    }
    const made = [...changed].map(([tenant, roles]) => [tenant, { version: (versions += 1), roles }] as const);
    return new BindingIndex(new Map([...this.tenants, ...made]));
  }
}

/** A member as one text, for sets. As JSON, so that no choice of names makes one member look like another. */
export const memberKey = ({ kind, provider, name }: Member): string => JSON.stringify([kind, provider, name]);

/** A principal as the members that it is: itself, and its groups at its provider. */
export function membersOf(
  { provider, subject }: Pick<Principal, 'provider' | 'subject'>,
  groups: readonly string[],
): readonly Member[] {
  return [
    { kind: 'subject', provider, name: subject },
    ...groups.map((name) => ({ kind: 'group', provider, name }) as const),
  ];
}

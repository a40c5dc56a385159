import type { Denial } from './policy.js';

/** The numbers of the rules that name somebody, so that a caller costs by what they are and not by how many rules there are. */
interface DenialIndex {
  readonly everybody: readonly number[];
  readonly ofRole: ReadonlyMap<string, readonly number[]>;
  readonly ofMember: ReadonlyMap<string, readonly number[]>;
}

/** A list of rules is never changed, only replaced. */
const indexes = new WeakMap<readonly Denial[], DenialIndex>();

/**
 * The numbers of the rules that meet one with these roles who is these members, in the order of the list; in which tenant
 * a rule holds is not looked at.
 * @param members each as `memberKey` writes it
 */
export function denialsMeeting(
  denials: readonly Denial[],
  roles: readonly string[],
  members: readonly string[],
): readonly number[] {
  const index = indexes.get(denials) ?? indexOf(denials);
  indexes.set(denials, index);
  const meeting = new Set(index.everybody);
  for (const role of roles) for (const number of index.ofRole.get(role) ?? []) meeting.add(number);
  for (const member of members) for (const number of index.ofMember.get(member) ?? []) meeting.add(number);
  return [...meeting].sort((one, other) => one - other);
}

function indexOf(denials: readonly Denial[]): DenialIndex {
  const everybody: number[] = [];
  const [ofRole, ofMember] = [new Map<string, number[]>(), new Map<string, number[]>()];
  denials.forEach(({ whom }, number) => {
    if (whom === null) everybody.push(number);
    whom?.roles.forEach((role) => {
      add(ofRole, role, number);
    });
    whom?.members.forEach((member) => {
      add(ofMember, member, number);
    });
  });
  return { everybody, ofRole, ofMember };
}

function add(to: Map<string, number[]>, name: string, number: number): void {
  const numbers = to.get(name);
  if (numbers === undefined) to.set(name, [number]);
  else numbers.push(number);
}

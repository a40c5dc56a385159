import { Injectable } from '@nestjs/common';
import { DomainError } from '../kernel/errors.js';
import { LOCAL_PROVIDER, type Principal } from '../kernel/principal.js';
import type { CallerContext } from '../kernel/request-context.js';
import { AuthorizationService } from './authorization.service.js';
import type { Explanation } from './explain.js';
import { KeyDirectory } from './key-directory.js';
import { OwnershipRegistry } from './ownership.js';
import { areaOf, type Permission } from './permissions.js';
import type { ExplainCommand } from './policy.schema.js';
import type { Resource } from './policy.js';
import { Standings } from './standings.js';

/** The permission that lets its holder know of a resource of this kind; others of the same area can be asked about it. */
const SIGHTS: ReadonlyMap<string, Permission> = new Map<string, Permission>([
  ['session', 'pty:view'],
  ['api_key', 'api_key:view'],
]);

/** Answers what somebody else may do, and why. */
@Injectable()
export class ExplainService {
  constructor(
    private readonly authorization: AuthorizationService,
    private readonly ownership: OwnershipRegistry,
    private readonly standings: Standings,
    private readonly keys: KeyDirectory,
  ) {}

  /**
   * Explains a decision about a subject or key of the caller's tenant.
   * @throws DomainError NOT_FOUND for a key that there is not, and for a resource that the caller may not know of;
   *   INVALID_ARGUMENT for another tenant, an unknown kind of resource, or one that the permission is not about
   */
  async explain(context: CallerContext, command: ExplainCommand): Promise<Explanation> {
    const { tenant } = context.principal;
    if (command.tenant !== undefined && command.tenant !== tenant) throw wrong('tenant', 'not your tenant');
    const principal =
      command.key === undefined ? await this.#subject(tenant, command) : await this.#key(tenant, command.key);
    return this.authorization.explain(principal, command.permission, await this.#resource(context, command));
  }

  /** The subject as it was last vouched for, or as the caller says. */
  async #subject(tenant: string, command: ExplainCommand): Promise<Principal> {
    const { subject = '', provider = LOCAL_PROVIDER, scopes = null } = command;
    const given = command.roles !== undefined && command.groups !== undefined;
    const standing = given ? { roles: [], groups: [] } : await this.standings.of(tenant, provider, subject);
    return {
      ...{ subject, tenant, provider, scopes, kind: 'user', method: 'jwt' },
      roles: command.roles ?? standing.roles,
      groups: command.groups ?? standing.groups,
      ...{ credentialId: null, keyId: null, owner: null, issuedAt: null, expiresAt: null },
    };
  }

  async #key(tenant: string, id: string): Promise<Principal> {
    const principal = await this.keys.find(tenant, id);
    if (principal === null) throw new DomainError('NOT_FOUND', 'There is no such key.');
    return principal;
  }

  /** What the caller may not know of is unknown here too: an explanation tells of a resource that it exists. */
  async #resource(context: CallerContext, { resource: asked, permission }: ExplainCommand): Promise<Resource | null> {
    if (asked === undefined) return null;
    const colon = asked.indexOf(':');
    const [kind, id] = [asked.slice(0, colon), asked.slice(colon + 1)];
    const sight = this.ownership.has(kind) ? SIGHTS.get(kind) : undefined;
    if (sight === undefined) throw wrong('resource', 'there is no such kind of resource');
    if (areaOf(sight) !== areaOf(permission)) throw wrong('resource', 'the permission is not about this kind');
    const resource = await this.ownership.resolve(kind, id, context);
    if (resource !== null && this.authorization.decide(context.principal, sight, resource).visible) return resource;
    return this.authorization.refuseUnknown(context, permission, kind, id);
  }
}

const wrong = (field: string, problem: string): DomainError =>
  new DomainError('INVALID_ARGUMENT', `${field}: ${problem}`, { details: { fields: [{ field, problem }] } });

import { Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { type AuditMetadata, AuditTrail } from '../kernel/audit.js';
import type { LinkAttached } from '../kernel/link.js';
import type { CallerContext } from '../kernel/request-context.js';
import { ByteLink } from '../runner-link/byte-link.js';
import { RunnerClient } from '../runner-link/runner-client.js';
import { Attachment } from './attachment.js';
import { decideAnew } from './decide-anew.js';
import type { AttachCommand } from './pty.schema.js';
import { PtyService } from './pty.service.js';
import { SessionStore } from './session-store.js';
import { TerminalMetrics } from './terminal-metrics.js';

/** Opens attachments, for WebSocket and gRPC alike. */
@Injectable()
export class AttachmentsService {
  constructor(
    private readonly sessions: PtyService,
    private readonly store: SessionStore,
    private readonly runner: RunnerClient,
    private readonly authorization: AuthorizationService,
    private readonly audit: AuditTrail,
    private readonly metrics: TerminalMetrics,
  ) {}

  /**
   * Attaches. The caller gets `controller` only with `pty:input` on the session.
   * @param channel stamped into every data frame
   * @param bytesOnly for a stream of output: no snapshot, and on record as such
   * @returns an attachment that stays silent until it is started
   * @throws DomainError NOT_FOUND, PERMISSION_DENIED, SESSION_LOST, EPOCH_CHANGED, OFFSET_OUT_OF_RANGE,
   *   RUNNER_UNAVAILABLE, AUDIT_UNAVAILABLE
   */
  async open(
    context: CallerContext,
    command: AttachCommand,
    channel: number,
    { bytesOnly = false } = {},
  ): Promise<Attachment> {
    const resource = await this.store.owner(context.principal.tenant, command.session);
    if (resource === null) return this.authorization.refuseUnknown(context, 'pty:view', 'session', command.session);
    this.authorization.require(context, 'pty:view', resource);
    await this.sessions.attachable(context, command.session);
    const mayControl = this.authorization.allows(context.principal, 'pty:input', resource);
    const link = await ByteLink.open(this.runner.endpoint, {
      type: 'attach',
      channel,
      may_control: mayControl,
      user: context.principal.subject,
      raw: bytesOnly,
      ...command,
    });
    const named = `session:${command.session}`;
    const kind = bytesOnly ? { stream_output: true } : {};
    const attachment = new Attachment(context, resource, link, mayControl, this.authorization, (totals) => {
      this.metrics.detached(attachment, totals);
      this.audit.note(context, {
        action: 'pty.detach',
        resource: named,
        success: true,
        metadata: { ...totals, ...kind },
      });
    });
    try {
      const { mode, from } = link.attached;
      await this.audit.record(context, {
        action: cameBack(command, link.attached) ? 'pty.resume' : 'pty.attach',
        resource: named,
        success: true,
        metadata: { mode, from, ...kind },
      });
    } catch (error) {
      link.close();
      throw error;
    }
    this.metrics.attached(attachment);
    return attachment;
  }

  /**
   * Decides an open attachment anew: who may not type any more goes on as viewer, who may not view any more is detached.
   * Either is on record. A lost role or binding does not wait for the database.
   * @returns false when it was ended by this
   */
  recheck(attachment: Attachment): Promise<boolean> {
    return decideAnew(this.store, attachment, () => this.#decide(attachment));
  }

  /** @returns false when it was ended by this */
  #decide(attachment: Attachment): boolean {
    if (attachment.ended) return true;
    const view = attachment.decide('pty:view');
    if (!view.allow) {
      this.#noteDowngrade(attachment, { to: 'detached', permission: 'pty:view', rule: view.rule });
      attachment.close();
      return false;
    }
    if (attachment.followPermission()) {
      const { rule } = attachment.decide('pty:input');
      this.#noteDowngrade(attachment, { to: 'viewer', permission: 'pty:input', rule });
    }
    return true;
  }

  #noteDowngrade({ context, resource }: Attachment, metadata: AuditMetadata): void {
    this.audit.note(context, {
      action: 'authz.downgraded',
      resource: `session:${resource.id}`,
      success: false,
      reason: 'PERMISSION_DENIED',
      metadata,
    });
  }
}

/** A client that was there before knows an offset behind the beginning, or has typed under its name. */
const cameBack = ({ from = 0, writer_id }: AttachCommand, { input_next }: LinkAttached): boolean =>
  from > 0 || (writer_id !== undefined && input_next > 0);

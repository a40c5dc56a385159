import { Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { AuditTrail } from '../kernel/audit.js';
import type { CallerContext } from '../kernel/request-context.js';
import { ByteLink } from '../runner-link/byte-link.js';
import { RunnerClient } from '../runner-link/runner-client.js';
import { Attachment } from './attachment.js';
import type { AttachCommand } from './pty.schema.js';
import { PtyService } from './pty.service.js';
import { SessionStore } from './session-store.js';

/** Opens attachments, for WebSocket and gRPC alike. */
@Injectable()
export class AttachmentsService {
  constructor(
    private readonly sessions: PtyService,
    private readonly store: SessionStore,
    private readonly runner: RunnerClient,
    private readonly authorization: AuthorizationService,
    private readonly audit: AuditTrail,
  ) {}

  /**
   * Attaches. The caller gets `controller` only with `pty:input` on the session.
   * @param channel stamped into every data frame
   * @returns an attachment that stays silent until it is started
   * @throws DomainError NOT_FOUND, PERMISSION_DENIED, SESSION_LOST, EPOCH_CHANGED, OFFSET_OUT_OF_RANGE,
   *   RUNNER_UNAVAILABLE, AUDIT_UNAVAILABLE
   */
  async open(context: CallerContext, command: AttachCommand, channel: number): Promise<Attachment> {
    const resource = await this.store.owner(command.session);
    if (resource === null) return this.authorization.refuseUnknown(context, 'pty:view', 'session', command.session);
    this.authorization.require(context, 'pty:view', resource);
    await this.sessions.attachable(context, command.session);
    const link = await ByteLink.open(this.runner.directory, {
      type: 'attach',
      channel,
      may_control: this.authorization.allows(context.principal, 'pty:input', resource),
      ...command,
    });
    const named = `session:${command.session}`;
    const attachment = new Attachment(context, resource, link.attached, link, this.authorization, (totals) => {
      this.audit.note(context, { action: 'pty.detach', resource: named, success: true, metadata: { ...totals } });
    });
    try {
      const { mode, from } = link.attached;
      await this.audit.record(context, {
        action: 'pty.attach',
        resource: named,
        success: true,
        metadata: { mode, from },
      });
    } catch (error) {
      link.close();
      throw error;
    }
    return attachment;
  }
}

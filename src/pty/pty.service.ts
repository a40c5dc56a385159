import { Inject, Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { DomainError } from '../kernel/errors.js';
import { RUNNER_ID } from '../kernel/tokens.js';
import type { CallerContext } from '../kernel/request-context.js';
import { RunnerClient } from '../runner-link/runner-client.js';
import type {
  ListCommand,
  OutputCommand,
  ResizeCommand,
  SessionCommand,
  SignalCommand,
  WriteCommand,
} from './pty.schema.js';
import type { SessionEntity } from './session.entity.js';
import { SessionEnds } from './session-ends.js';
import { SessionStore } from './session-store.js';
import { type SessionView, toView } from './session-view.js';
import { TerminalMetrics } from './terminal-metrics.js';

export interface SessionPage {
  readonly items: readonly SessionView[];
  readonly next_cursor: string | null;
}

/** A piece of a session's output. */
export interface OutputPiece {
  readonly offset: number;
  readonly data: Buffer;
  readonly dropped_before: number;
  /** Offset after the last byte the session has written so far. */
  readonly output_next: number;
}

/**
 * What can be done with sessions, on any transport. The guard has let the call pass; the caller's tenant still goes
 * into every query.
 */
@Injectable()
export class PtyService {
  constructor(
    private readonly store: SessionStore,
    private readonly runner: RunnerClient,
    private readonly ends: SessionEnds,
    private readonly authorization: AuthorizationService,
    private readonly metrics: TerminalMetrics,
    @Inject(RUNNER_ID) private readonly runnerId: string,
  ) {}

  async get(context: CallerContext, { id }: SessionCommand): Promise<SessionView> {
    return toView(await this.#find(context, id));
  }

  /** The caller's own, or the whole tenant's with `pty:list_all`. */
  async list(context: CallerContext, command: ListCommand): Promise<SessionPage> {
    const { principal } = context;
    const all = this.authorization.allows(principal, 'pty:list_all', null);
    // One more than asked tells whether there is a next page.
    const rows = await this.store.list(principal.tenant, all ? null : principal, {
      ...command,
      limit: command.limit + 1,
    });
    const page = rows.slice(0, command.limit);
    return { items: page.map(toView), next_cursor: rows.length > page.length ? (page.at(-1)?.id ?? null) : null };
  }

  async write(context: CallerContext, { id, data }: WriteCommand): Promise<void> {
    await this.#live(context, id);
    await this.runner.write(id, data);
    this.metrics.carried('in', data.length);
  }

  async resize(context: CallerContext, { id, cols, rows }: ResizeCommand): Promise<void> {
    const row = await this.#live(context, id);
    await this.runner.resize(id, cols, rows);
    await this.store.setSize(row, cols, rows);
  }

  async signal(context: CallerContext, { id, signal }: SignalCommand): Promise<void> {
    await this.#live(context, id);
    await this.runner.signal(id, signal);
  }

  /** Ends the session and all its processes; answers when they are gone. */
  async kill(context: CallerContext, { id }: SessionCommand): Promise<SessionView> {
    const { tenant } = await this.#live(context, id);
    await this.ends.record(await this.runner.kill(id, 'killed'), tenant);
    return this.get(context, { id });
  }

  /** @throws DomainError SESSION_LOST when the runner that held the output is gone */
  async output(context: CallerContext, { id, from, limit }: OutputCommand): Promise<OutputPiece> {
    await this.attachable(context, id);
    const piece = await this.runner.readOutput(id, from, limit);
    const data = piece.data ?? Buffer.alloc(0);
    this.metrics.carried('out', data.length);
    return {
      offset: piece.offset ?? 0,
      data,
      dropped_before: piece.dropped_before ?? 0,
      output_next: piece.output_next ?? 0,
    };
  }

  /**
   * The session, if its output can be had: that of ended ones is retained too.
   * @throws DomainError NOT_FOUND, SESSION_LOST, RUNNER_UNAVAILABLE when it is on a runner of other gateways
   */
  async attachable(context: CallerContext, id: string): Promise<SessionEntity> {
    const row = await this.#find(context, id);
    if (row.state === 'lost') throw new DomainError('SESSION_LOST', 'The runner that held this session is gone.');
    if (row.runner !== this.runnerId) {
      throw new DomainError('RUNNER_UNAVAILABLE', 'This gateway does not reach the runner that holds this session.');
    }
    return row;
  }

  async #live(context: CallerContext, id: string): Promise<SessionEntity> {
    const row = await this.attachable(context, id);
    if (row.endedAt !== null) throw new DomainError('SESSION_ENDED', 'The session has ended.');
    return row;
  }

  async #find(context: CallerContext, id: string): Promise<SessionEntity> {
    const row = await this.store.find(context.principal.tenant, id);
    if (row === null) throw new DomainError('NOT_FOUND', 'There is no such resource.');
    return row;
  }
}

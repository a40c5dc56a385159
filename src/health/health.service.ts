import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { AuditWriter } from '../audit/record/audit-writer.js';
import { SessionFollower } from '../pty/session-follower.js';
import { RunnerClient } from '../runner-link/runner-client.js';

type State = 'ok' | 'unavailable';

export interface Readiness {
  readonly status: State;
  readonly checks: { readonly database: State; readonly runner: State; readonly audit: State; readonly spool: State };
}

/** A probe must not wait as long as a query may. */
const PROBE_MS = 2000;

/** Whether the server can serve. */
@Injectable()
export class HealthService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly follower: SessionFollower,
    private readonly runner: RunnerClient,
    private readonly audit: AuditWriter,
  ) {}

  async readiness(): Promise<Readiness> {
    const [database, runner] = await Promise.all([this.#database(), this.#runner()]);
    const audit = state(this.audit.healthy);
    const spool = state(this.audit.spoolUsable);
    return {
      status: state([database, runner, audit, spool].every((each) => each === 'ok')),
      checks: { database, runner, audit, spool },
    };
  }

  /** A runner that holds its sockets and does nothing is not there either. */
  async #runner(): Promise<State> {
    if (!this.follower.connected) return 'unavailable';
    return this.runner.info(PROBE_MS).then(
      (): State => 'ok',
      (): State => 'unavailable',
    );
  }

  async #database(): Promise<State> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<State>((resolve) => {
      timer = setTimeout(() => {
        resolve('unavailable');
      }, PROBE_MS);
    });
    const query = this.dataSource.query('SELECT 1').then(
      (): State => 'ok',
      (): State => 'unavailable',
    );
    return Promise.race([query, late]).finally(() => {
      clearTimeout(timer);
    });
  }
}

const state = (good: boolean): State => (good ? 'ok' : 'unavailable');

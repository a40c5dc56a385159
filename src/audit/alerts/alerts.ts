import { isDeepStrictEqual } from 'node:util';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { CONFIG, type Config, type ConfigurationError } from '../../config/load.js';
import type { YamlFile } from '../../config/yaml-file.js';
import { AuditTrail } from '../../kernel/audit.js';
import type { Log } from '../../kernel/log.js';
import { systemContext } from '../../kernel/request-context.js';
import { NODE_NAME } from '../../kernel/tokens.js';
import type { AuditDraft } from '../record/audit-event.js';
import { AUDIT_LOG } from '../record/audit-log.js';
import { AuditWriter } from '../record/audit-writer.js';
import { type AlertConfig, ALERTS_FILE } from './alert-file.js';
import { messageOf } from './alert-message.js';
import { Destination } from './destination.js';
import { Dormancy } from './dormancy.js';
import { EventQueue } from './event-queue.js';
import { type Alert, RuleState } from './rule-state.js';

/** Mistakes of one edit that go on record. */
const MAX_TOLD = 10;
/** How long a stop waits for what is being sent. */
const SEND_ON_STOP_MS = 3000;
const DAY_MS = 86_400_000;

/** Holds every event against the rules of alerts.yaml, beside the writer's path, and sends what met one. */
@Injectable()
export class Alerts implements OnModuleInit, OnModuleDestroy, BeforeApplicationShutdown {
  #rules: readonly RuleState[] = [];
  #destinations: ReadonlyMap<string, Destination> = new Map();
  readonly #queue: EventQueue;

  constructor(
    @Inject(ALERTS_FILE) private readonly file: YamlFile<AlertConfig>,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(NODE_NAME) private readonly node: string,
    @Inject(AUDIT_LOG) private readonly log: Log,
    private readonly writer: AuditWriter,
    private readonly audit: AuditTrail,
    private readonly dormancy: Dormancy,
  ) {
    this.#queue = new EventQueue((draft) => {
      this.#take(draft);
    }, log);
  }

  onModuleInit(): void {
    this.#apply();
    this.writer.onEvent((draft) => {
      if (this.#rules.some((state) => state.concerns(draft.event.action))) this.#queue.push(draft);
    });
    this.file.watch({
      changed: () => {
        this.#changed();
      },
      rejected: (error) => {
        this.#rejected(error);
      },
    });
  }

  onModuleDestroy(): void {
    this.file.close();
  }

  /** The last events are looked at, too, and what met a rule is sent while the stop can wait for it. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.writer.flush();
    await this.#queue.idle();
    for (const state of this.#rules) state.end();
    await Promise.all([...this.#destinations.values()].map((each) => each.idle(SEND_ON_STOP_MS)));
    for (const each of this.#destinations.values()) each.close();
  }

  /** Makes what the file says what is in force; a rule or destination that did not change remembers what it knows. */
  #apply(): void {
    const { rules, destinations } = this.file.value;
    const before = this.#rules;
    this.#rules = rules.map((rule) => {
      const kept = before.find((state) => isDeepStrictEqual(state.rule, rule));
      return (
        kept ??
        new RuleState(rule, (alert) => {
          this.#send(alert);
        })
      );
    });
    const known = this.#destinations;
    this.#destinations = new Map(
      [...destinations].flatMap(([name, variable]) => {
        const address = this.config.webhooks.get(variable);
        if (address === undefined) return [];
        const kept = known.get(name);
        return [[name, kept?.address === address ? kept : new Destination(name, address, this.log)] as const];
      }),
    );
    for (const state of before) if (!this.#rules.includes(state)) state.end();
  }

  #take(draft: AuditDraft): void {
    for (const state of this.#rules) state.take(draft);
    const days = this.#rules.flatMap(({ rule }) => (rule.kind === 'dormant' ? [rule.days] : []));
    if (draft.event.action !== 'auth.success' || days.length === 0) return;
    const asked = this.dormancy.ask(draft, Math.min(...days) * DAY_MS, {
      answer: (idleMs) => {
        for (const state of this.#rules) state.takeIdle(draft, idleMs);
      },
      failed: (error) => {
        this.#queue.failed(error);
      },
    });
    if (!asked) this.#queue.dropped();
  }

  #send(alert: Alert): void {
    for (const name of alert.rule.send_to)
      this.#destinations.get(name)?.send((lost) => messageOf(alert, this.node, lost));
  }

  #changed(): void {
    this.#apply();
    const metadata = { rules: this.#rules.length };
    this.audit.note(systemContext(), { action: 'config.reloaded', resource: this.#resource, success: true, metadata });
  }

  #rejected({ problems }: ConfigurationError): void {
    this.log.error({ file: this.file.path, problems }, 'the alerts file is wrong: what was before stays in force');
    this.audit.note(systemContext(), {
      ...{ action: 'config.rejected', resource: this.#resource, success: false, reason: 'INVALID_ARGUMENT' },
      metadata: { mistakes: problems.length, problems: problems.slice(0, MAX_TOLD) },
    });
  }

  get #resource(): string {
    return `file:${this.file.path}`;
  }
}

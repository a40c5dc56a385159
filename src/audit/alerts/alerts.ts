import { isDeepStrictEqual } from 'node:util';
import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { CONFIG, type Config, ConfigurationError } from '../../config/load.js';
import type { YamlFile } from '../../config/yaml-file.js';
import { AuditTrail } from '../../kernel/audit.js';
import type { Log } from '../../kernel/log.js';
import { DEFAULT_TENANT } from '../../kernel/principal.js';
import { systemContext } from '../../kernel/request-context.js';
import { NODE_NAME } from '../../kernel/tokens.js';
import { SealedSecrets } from '../../sealing/sealed-secrets.js';
import type { AuditDraft } from '../record/audit-event.js';
import { AUDIT_LOG } from '../record/audit-log.js';
import { AuditWriter } from '../record/audit-writer.js';
import { type AlertConfig, ALERTS_FILE } from './alert-file.js';
import { messageOf } from './alert-message.js';
import { Destination } from './destination.js';
import { Dormancy } from './dormancy.js';
import { EventQueue } from './event-queue.js';
import { type Alert, RuleState } from './rule-state.js';
import { fixedSource, NoAddress, secretSource, type WebhookPlace, type WebhookSource } from './webhook-source.js';

/** Mistakes of one edit that go on record. */
const MAX_TOLD = 10;
/** How long a stop waits for what is being sent. */
const SEND_ON_STOP_MS = 3000;
/** How often secrets are looked at that an edit waits for. */
const LOOK_AGAIN_MS = 2000;
const DAY_MS = 86_400_000;

/** Holds every event against the rules of alerts.yaml, beside the writer's path, and sends what met one. */
@Injectable()
export class Alerts implements OnModuleInit, OnModuleDestroy, BeforeApplicationShutdown {
  #rules: readonly RuleState[] = [];
  #destinations: ReadonlyMap<string, Destination> = new Map();
  /** The last edit, which may still be looked at, or wait for its secrets. */
  #edit: AlertConfig | null = null;
  #again: NodeJS.Timeout | undefined;
  readonly #queue: EventQueue;

  constructor(
    @Inject(ALERTS_FILE) private readonly file: YamlFile<AlertConfig>,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(NODE_NAME) private readonly node: string,
    @Inject(AUDIT_LOG) private readonly log: Log,
    private readonly writer: AuditWriter,
    private readonly audit: AuditTrail,
    private readonly dormancy: Dormancy,
    private readonly secrets: SealedSecrets,
  ) {
    this.#queue = new EventQueue((draft) => {
      this.#take(draft);
    }, log);
  }

  /** A secret that cannot be used does not stop the start: it is set over REST, which takes a running server. */
  async onModuleInit(): Promise<void> {
    this.#apply(this.file.value);
    const problems = await this.#unusable(this.file.value);
    if (problems.length > 0) this.log.error({ file: this.file.path, problems }, 'alerts cannot be sent everywhere');
    this.writer.onEvent((draft) => {
      if (this.#rules.some((state) => state.concerns(draft.event.action))) this.#queue.push(draft);
    });
    this.file.watch({
      changed: () => {
        void this.#consider(this.file.value);
      },
      rejected: (error) => {
        this.#rejected(error);
      },
    });
  }

  onModuleDestroy(): void {
    this.#edit = null;
    clearTimeout(this.#again);
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

  /** Makes it what is in force; a rule or destination that did not change remembers what it knows. */
  #apply({ rules, destinations }: AlertConfig): void {
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
      [...destinations].flatMap(([name, place]) => {
        const source = this.#sourceOf(place);
        if (source === null) return [];
        const kept = known.get(name);
        return [[name, kept?.source.id === source.id ? kept : new Destination(name, source, this.log)] as const];
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

  /** Null for a variable that is not set, which no rule names. */
  #sourceOf(place: WebhookPlace): WebhookSource | null {
    if ('secret' in place) return secretSource(place.secret, (name) => this.secrets.read(DEFAULT_TENANT, name));
    const address = this.config.webhooks.get(place.webhook);
    return address === undefined ? null : fixedSource(address);
  }

  /** The secrets of a file that are no addresses now, one line each. */
  async #unusable({ destinations }: AlertConfig): Promise<string[]> {
    const problems: string[] = [];
    for (const [name, place] of destinations) {
      const fault = 'secret' in place ? await faultOf(this.#sourceOf(place)) : null;
      if (fault !== null) problems.push(`${this.file.path}: destinations.${name}: ${fault}`);
    }
    return problems;
  }

  /**
   * Takes an edit when its secrets are all addresses, and nothing of it before; unless another came after it.
   * @param told what is wrong with it and was told already
   */
  async #consider(edit: AlertConfig, told = ''): Promise<void> {
    this.#edit = edit;
    clearTimeout(this.#again);
    const problems = await this.#unusable(edit);
    if (this.#edit !== edit) return;
    if (problems.length === 0) {
      this.#changed(edit);
      return;
    }
    if (problems.join() !== told) this.#rejected(new ConfigurationError(problems));
    this.#again = setTimeout(() => void this.#consider(edit, problems.join()), LOOK_AGAIN_MS).unref();
  }

  #changed(edit: AlertConfig): void {
    this.#apply(edit);
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

/** Why there is no address now; null when there is one. */
async function faultOf(source: WebhookSource | null): Promise<string | null> {
  try {
    await source?.address();
    return null;
  } catch (error) {
    if (error instanceof NoAddress) return error.fault;
    throw error;
  }
}

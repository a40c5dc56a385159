import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { ConfigurationError } from '../config/load.js';
import type { YamlFile } from '../config/yaml-file.js';
import { SecurityFeed } from '../database/security-feed.js';
import { AuditTrail } from '../kernel/audit.js';
import { systemContext } from '../kernel/request-context.js';
import { BindingIndex } from './bindings.js';
import type { Policy } from './policy.js';
import { type FilePolicy, POLICY_FILE } from './policy-file.js';
import { StoredBindings } from './stored-bindings.js';

/** Mistakes of one edit that go on record. */
const MAX_TOLD = 10;

/** The policy in force: permissions.yaml and the stored bindings, both followed while the server runs. */
@Injectable()
export class PolicyState implements OnModuleInit, OnModuleDestroy {
  readonly #listeners: ((policy: Policy) => void)[] = [];
  #fileBindings: BindingIndex;
  #policy: Policy;

  constructor(
    @Inject(POLICY_FILE) private readonly file: YamlFile<FilePolicy>,
    private readonly stored: StoredBindings,
    private readonly feed: SecurityFeed,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
  ) {
    this.#fileBindings = BindingIndex.of(file.value.bindings);
    this.#policy = this.#compose();
  }

  /** A snapshot: what is decided by it is decided by one policy, even when the next one is in force already. */
  get current(): Policy {
    return this.#policy;
  }

  /** What the file says at present. */
  get ofFile(): FilePolicy {
    return this.file.value;
  }

  /** Told the new policy whenever it changed, wherever the change came from. */
  onChange(listener: (policy: Policy) => void): void {
    this.#listeners.push(listener);
  }

  onModuleInit(): void {
    this.feed.onReset(async (read) => {
      await this.stored.loadAll(read);
      this.#put();
    });
    this.feed.on('binding', async (changes, read) => {
      await this.stored.load(changes, read);
      this.#put();
    });
    this.file.watch({
      changed: (content) => {
        this.#changed(content);
      },
      rejected: (error) => {
        this.#rejected(error);
      },
    });
  }

  onModuleDestroy(): void {
    this.file.close();
  }

  #changed(content: FilePolicy): void {
    this.#fileBindings = BindingIndex.of(content.bindings);
    this.#put();
    const metadata = { roles: content.roles.size, bindings: content.bindings.length, denials: content.denials.length };
    this.audit.note(systemContext(), { action: 'policy.changed', resource: this.#resource, success: true, metadata });
    this.logger.info({ file: this.file.path, ...metadata }, 'the policy file changed and is in force');
  }

  #rejected({ problems }: ConfigurationError): void {
    const told = problems.slice(0, MAX_TOLD);
    const reason = 'INVALID_ARGUMENT';
    this.audit.note(systemContext(), {
      ...{ action: 'config.rejected', resource: this.#resource, success: false, reason },
      metadata: { problems: told },
    });
    this.logger.error(
      { file: this.file.path, problems: told },
      'the policy file is wrong: what was before stays in force',
    );
  }

  get #resource(): string {
    return `file:${this.file.path}`;
  }

  #put(): void {
    this.#policy = this.#compose();
    for (const listener of this.#listeners) listener(this.#policy);
  }

  #compose(): Policy {
    const { roles, defaultRoles, denials } = this.file.value;
    return { roles, defaultRoles, denials, bindings: [this.#fileBindings, this.stored.index] };
  }
}

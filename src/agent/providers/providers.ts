import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { YamlFile } from '../../config/yaml-file.js';
import type { FoundProgram__Output } from '../../generated/gatehouse/runner/v1/FoundProgram.js';
import { AuditTrail } from '../../kernel/audit.js';
import { DomainError } from '../../kernel/errors.js';
import { systemContext } from '../../kernel/request-context.js';
import { RunnerAgents } from '../../runner-link/runner-agents.js';
import { CUSTOM, customProvider } from './built-in.js';
import { PROVIDER_FILE, type Registry } from './provider-file.js';
import type { Provider } from './provider.schema.js';

/** A provider as every transport shows it. */
export interface ProviderView {
  readonly id: string;
  readonly name: string;
  readonly binary: string;
  readonly installed: boolean;
  /** Where the runner found it; null when it is not installed. */
  readonly path: string | null;
  readonly version: string | null;
  readonly model: boolean;
  readonly auto: boolean;
  readonly resume: boolean;
  readonly source: 'hook' | 'acp' | 'screen';
}

export interface ProviderList {
  readonly items: readonly ProviderView[];
}

/** As many as the runner looks for at once. */
const MAX_PROGRAMS = 64;

/** The registry of providers: what is built in, and agents.yaml over it. Nothing else is started as an agent. */
@Injectable()
export class Providers implements OnApplicationBootstrap, OnModuleDestroy {
  #listing: Promise<ProviderList> | null = null;

  constructor(
    @Inject(PROVIDER_FILE) private readonly file: YamlFile<Registry>,
    private readonly runner: RunnerAgents,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
  ) {}

  onApplicationBootstrap(): void {
    const resource = `config:${this.file.path}`;
    this.file.watch({
      changed: () => {
        this.logger.info({ file: this.file.path }, 'the agents file was changed');
        this.audit.note(systemContext(), { action: 'config.reloaded', resource, success: true });
      },
      rejected: (error) => {
        this.logger.error({ problems: error.problems }, 'the agents file is wrong; what was before stays');
        this.audit.note(systemContext(), { action: 'config.rejected', resource, success: false });
      },
    });
  }

  onModuleDestroy(): void {
    this.file.close();
  }

  /**
   * The provider of that id, and the program that it starts.
   * @param binary for `custom`, which of the permitted programs
   * @throws DomainError AGENT_PROVIDER_UNKNOWN, INVALID_ARGUMENT for a program that is not permitted
   */
  find(id: string, binary: string | undefined): { readonly provider: Provider; readonly binary: string } {
    const { providers, custom } = this.file.value;
    if (id === CUSTOM) {
      if (binary === undefined || !custom.has(binary)) throw notPermitted();
      return { provider: customProvider(binary), binary };
    }
    const provider = providers.get(id);
    if (provider === undefined) {
      throw new DomainError('AGENT_PROVIDER_UNKNOWN', 'There is no such provider; the list of providers has all.');
    }
    if (binary !== undefined) throw new DomainError('INVALID_ARGUMENT', 'binary: only with the provider custom');
    return { provider, binary: provider.binary };
  }

  /** The same for an agent that is there already; null when its provider is there no more. */
  known(id: string, binary: string): Provider | null {
    const { providers, custom } = this.file.value;
    if (id === CUSTOM) return custom.has(binary) ? customProvider(binary) : null;
    return providers.get(id) ?? null;
  }

  /** @throws DomainError AGENT_BINARY_MISSING when the runner does not find its program, RUNNER_UNAVAILABLE */
  async requireInstalled(id: string, { binary }: Provider): Promise<void> {
    // Without asking for its version, which may take a while.
    const found = await this.runner.detect([{ id, binary, version_args: [] }]);
    if (found.length > 0) return;
    throw new DomainError('AGENT_BINARY_MISSING', `The program ${binary} is not installed on the runner.`);
  }

  /** All of them, by id, and what the runner has of them; who asks meanwhile is given the same. @throws DomainError RUNNER_UNAVAILABLE */
  list(): Promise<ProviderList> {
    this.#listing ??= this.#list().finally(() => (this.#listing = null));
    return this.#listing;
  }

  async #list(): Promise<ProviderList> {
    const { providers, custom } = this.file.value;
    const all = [
      ...[...providers].map(([id, provider]) => ({ key: id, id, provider })),
      ...[...custom].map((binary) => ({ key: `${CUSTOM}/${binary}`, id: CUSTOM, provider: customProvider(binary) })),
    ];
    const programs = all.map(({ key, provider }) => ({
      id: key,
      binary: provider.binary,
      version_args: provider.version_args,
    }));
    const found = new Map<string | undefined, FoundProgram__Output>();
    for (let at = 0; at < programs.length; at += MAX_PROGRAMS) {
      for (const each of await this.runner.detect(programs.slice(at, at + MAX_PROGRAMS))) found.set(each.id, each);
    }
    const items = all.map(({ key, id, provider }) => viewOf(id, provider, found.get(key)));
    return { items: items.sort((one, other) => (one.id < other.id ? -1 : 1)) };
  }
}

const viewOf = (
  id: string,
  provider: Provider,
  found: { readonly path?: string; readonly version?: string } | undefined,
): ProviderView => ({
  id,
  name: provider.name,
  binary: provider.binary,
  installed: found !== undefined,
  path: found?.path ?? null,
  version: found?.version ?? null,
  model: provider.model !== null,
  auto: provider.auto !== null,
  resume: provider.resume_args !== null,
  source: provider.acp ? 'acp' : provider.hooks === 'none' ? 'screen' : 'hook',
});

const notPermitted = (): DomainError =>
  new DomainError('INVALID_ARGUMENT', 'binary: not one of the programs that the configuration permits', {
    details: { fields: [{ field: 'binary', problem: 'not one of the programs that the configuration permits' }] },
  });

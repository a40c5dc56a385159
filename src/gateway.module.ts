import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { LoggerModule } from 'nestjs-pino';
import type { ClientConfig } from 'pg';
import type { Logger } from 'pino';
import type { DataSource } from 'typeorm';
import { AgentModule } from './agent/agent.module.js';
import { openProviderFile } from './agent/providers/provider-file.js';
import { ApiKeysModule } from './api-keys/api-keys.module.js';
import { AuditInterceptor } from './audit/audit.interceptor.js';
import { openAlertsFile } from './audit/alerts/alert-file.js';
import { AuditModule } from './audit/audit.module.js';
import { AuditReadModule } from './audit/read/audit-read.module.js';
import { AuditVerifyModule } from './audit/verify/audit-verify.module.js';
import { AuthModule } from './auth/auth.module.js';
import { AuthenticationGuard } from './auth/authentication.guard.js';
import { IdentityProviders } from './auth/providers/identity-providers.js';
import { signingSecrets } from './auth/signing-secrets.js';
import { AuthorizationGuard } from './authorization/authorization.guard.js';
import { AuthorizationModule } from './authorization/authorization.module.js';
import { openPolicyFile } from './authorization/policy-file.js';
import type { Config } from './config/load.js';
import { CoreModule } from './core.module.js';
import { DatabaseModule } from './database/database.module.js';
import { HealthModule } from './health/health.module.js';
import { MetricsModule } from './metrics/metrics.module.js';
import { PtyModule } from './pty/pty.module.js';
import { requestKeys } from './pty/request-hash.js';
import type { RunnerClient } from './runner-link/runner-client.js';
import { RunnerLinkModule } from './runner-link/runner-link.module.js';
import { ExpensiveGuard } from './rate-limit/expensive.guard.js';
import { RateLimitModule } from './rate-limit/rate-limit.module.js';
import { openKeyring } from './sealing/master-keys.js';
import { SealingModule } from './sealing/sealing.module.js';
import { SecretsModule } from './secrets/secrets.module.js';
import { ErrorFilter } from './transport/error-filter.js';
import { loggerParams } from './transport/logging.js';
import { validationPipe } from './transport/validation.js';
import { WorktreeModule } from './worktree/worktree.module.js';

/** What a gateway is made of. */
export interface GatewayParts {
  readonly config: Config;
  /** Connected and migrated. */
  readonly dataSource: DataSource;
  /** The same for the audit trail alone. */
  readonly trail: DataSource;
  /** For a connection beside it. */
  readonly connection: ClientConfig;
  readonly runner: RunnerClient;
  readonly runnerId: string;
  /** The name of this gateway among those on its database. */
  readonly node: string;
  readonly logger: Logger;
}

/** The gateway: the only place that binds global guards, pipes, interceptors and filters. */
@Module({})
export class GatewayModule {
  /** @throws ConfigurationError when a kept secret is damaged, or auth.yaml, permissions.yaml, alerts.yaml or agents.yaml is wrong */
  static with({ config, dataSource, trail, connection, runner, runnerId, node, logger }: GatewayParts): DynamicModule {
    // Before Nest, which would tell the mistake with a stack.
    const tell = (message: string): void => {
      logger.info(message);
    };
    const [secrets, keyring] = [signingSecrets(config, tell), openKeyring(config, tell)];
    const [authFile, policyFile] = [IdentityProviders.open(config), openPolicyFile(config)];
    const [alertsFile, providerFile] = [openAlertsFile(config), openProviderFile(config)];
    return {
      module: GatewayModule,
      imports: [
        CoreModule.with(config, node, requestKeys(secrets)),
        LoggerModule.forRoot(loggerParams(logger)),
        TypeOrmModule.forRootAsync({
          useFactory: () => dataSource.options,
          dataSourceFactory: () => Promise.resolve(dataSource),
        }),
        DatabaseModule.with(connection, trail),
        SealingModule.with(keyring),
        AuditModule.with(alertsFile),
        AuditVerifyModule,
        AuthorizationModule.with(policyFile),
        RunnerLinkModule.with(runner, runnerId),
        ApiKeysModule,
        SecretsModule,
        AuthModule.with(secrets, authFile),
        RateLimitModule,
        PtyModule,
        WorktreeModule,
        AgentModule.with(providerFile),
        AuditReadModule,
        HealthModule,
        MetricsModule,
      ],
      providers: [
        { provide: APP_GUARD, useExisting: AuthenticationGuard },
        { provide: APP_GUARD, useExisting: ExpensiveGuard },
        { provide: APP_GUARD, useExisting: AuthorizationGuard },
        { provide: APP_INTERCEPTOR, useExisting: AuditInterceptor },
        { provide: APP_PIPE, useFactory: validationPipe },
        { provide: APP_FILTER, useClass: ErrorFilter },
      ],
    };
  }
}

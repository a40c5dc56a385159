import { type DynamicModule, Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { YamlFile } from '../config/yaml-file.js';
import { AuthorizationGuard } from './authorization.guard.js';
import { AuthorizationService } from './authorization.service.js';
import { BindingStore } from './binding-store.js';
import { DeclaredAccess } from './declared-access.js';
import { ExplainService } from './explain.service.js';
import { KeyDirectory } from './key-directory.js';
import { LiveStreams } from './live-streams.js';
import { OwnershipRegistry } from './ownership.js';
import { PolicyController } from './policy.controller.js';
import { PolicyService } from './policy.service.js';
import { type FilePolicy, POLICY_FILE } from './policy-file.js';
import { PolicyState } from './policy-state.js';
import { Standings } from './standings.js';
import { StoredBindings } from './stored-bindings.js';

/** Global: every feature registers its ownership resolver here and asks here. */
@Global()
@Module({})
export class AuthorizationModule {
  /** @param file permissions.yaml, opened and right */
  static with(file: YamlFile<FilePolicy>): DynamicModule {
    return {
      module: AuthorizationModule,
      imports: [DiscoveryModule],
      controllers: [PolicyController],
      providers: [
        { provide: POLICY_FILE, useValue: file },
        ...[LiveStreams, Standings, BindingStore, KeyDirectory, PolicyService, ExplainService],
        ...[StoredBindings, PolicyState, AuthorizationService, OwnershipRegistry, AuthorizationGuard, DeclaredAccess],
      ],
      exports: [
        KeyDirectory,
        LiveStreams,
        Standings,
        PolicyState,
        AuthorizationService,
        OwnershipRegistry,
        AuthorizationGuard,
        DeclaredAccess,
      ],
    };
  }
}

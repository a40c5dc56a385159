import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { AuthorizationGuard } from './authorization.guard.js';
import { AuthorizationService } from './authorization.service.js';
import { DeclaredAccess } from './declared-access.js';
import { OwnershipRegistry } from './ownership.js';

/** Global: every feature registers its ownership resolver here and asks here. */
@Global()
@Module({
  imports: [DiscoveryModule],
  providers: [AuthorizationService, OwnershipRegistry, AuthorizationGuard, DeclaredAccess],
  exports: [AuthorizationService, OwnershipRegistry, AuthorizationGuard, DeclaredAccess],
})
export class AuthorizationModule {}

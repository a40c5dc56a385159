import '../support/nest-first.js';
import { Controller, Get, type Type } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { GrpcMethod, GrpcStreamCall } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { describe, expect, it } from '@jest/globals';
import { DeclaredAccess } from '../../src/authorization/declared-access.js';
import { Public, RequirePermission } from '../../src/authorization/decorators.js';
import { OwnershipRegistry } from '../../src/authorization/ownership.js';

@Controller('/open')
class ForgottenRest {
  @Get()
  read(): void {}
}

@Controller()
class ForgottenUnary {
  @GrpcMethod('PtyService')
  start(): void {}
}

@Controller()
class ForgottenStream {
  @GrpcStreamCall('PtyService')
  attach(): void {}
}

@WebSocketGateway({ path: '/x' })
class ForgottenMessage {
  @Public()
  @SubscribeMessage('fine')
  fine(): void {}

  @SubscribeMessage('input')
  input(): void {}
}

@Controller('/named')
class UnknownResource {
  @Get(':id')
  @RequirePermission('pty:view', { resource: 'spaceship', field: 'id' })
  read(): void {}
}

@Controller('/fine')
class Declared {
  @Get()
  @Public()
  read(): void {}
}

/** Starts an application with this handler and the real check. */
async function start(controllers: Type[], providers: Type[] = []): Promise<void> {
  const module = await Test.createTestingModule({
    imports: [DiscoveryModule],
    controllers,
    providers: [...providers, DeclaredAccess, OwnershipRegistry],
  }).compile();
  await module.init();
  await module.close();
}

describe('the guard that cannot be forgotten', () => {
  it.each([
    ['REST handler ForgottenRest.read', [ForgottenRest], []],
    ['gRPC handler ForgottenUnary.start', [ForgottenUnary], []],
    ['gRPC handler ForgottenStream.attach', [ForgottenStream], []],
    ['WebSocket handler ForgottenMessage.input', [], [ForgottenMessage]],
  ])('a %s that declares nothing stops the start, by name', async (name, controllers, providers) => {
    await expect(start(controllers, providers)).rejects.toThrow(`Refusing to start: ${name} declares neither`);
  });

  it('so does one that names a resource nobody can find', async () => {
    await expect(start([UnknownResource])).rejects.toThrow('UnknownResource.read names the unknown resource spaceship');
  });

  it('every mistake is named at once, and a server without any starts', async () => {
    await expect(start([ForgottenRest, UnknownResource])).rejects.toThrow(
      /ForgottenRest\.read .*UnknownResource\.read/,
    );
    await start([Declared]);
  });
});

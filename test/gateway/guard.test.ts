import { Controller, Get, Module, type Type } from '@nestjs/common';
import { GrpcMethod, GrpcStreamCall } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { describe, expect, it } from '@jest/globals';
import { AuthorizationModule } from '../../src/authorization/authorization.module.js';
import { Public, RequirePermission } from '../../src/authorization/decorators.js';
import { AuditTrail } from '../../src/kernel/audit.js';

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

/** Starts an application with this handler among the real guards. */
async function start(controllers: Type[], providers: Type[] = []): Promise<void> {
  // The trail is only asked when something is refused, which a start does not do.
  const audit = { provide: AuditTrail, useValue: {} };
  @Module({ providers: [audit], exports: [audit] })
  class Audit {}
  const module = await Test.createTestingModule({
    imports: [{ module: Audit, global: true }, AuthorizationModule],
    controllers,
    providers,
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

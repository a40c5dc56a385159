import { Injectable, type OnApplicationBootstrap, RequestMethod } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { accessOf } from './decorators.js';
import { OwnershipRegistry } from './ownership.js';

/** The metadata keys by which Nest itself recognises a handler. */
const REST_METHOD = 'method';
const REST_PATH = 'path';
const GRPC_PATTERN = 'microservices:pattern';
const WS_MESSAGE = 'message';

interface Handler {
  readonly name: string;
  readonly transport: 'REST' | 'gRPC' | 'WebSocket';
  readonly method: object;
  /** `GET /health/live`, for REST. */
  readonly route: string | null;
}

/**
 * The guard that cannot be forgotten: at start-up every handler on every transport must declare who may call it,
 * and every resource kind it names must have a resolver. One that does not stops the server, by name.
 */
@Injectable()
export class DeclaredAccess implements OnApplicationBootstrap {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly ownership: OwnershipRegistry,
  ) {}

  /** @throws Error naming each handler that declares nothing or names an unknown resource kind */
  onApplicationBootstrap(): void {
    const problems = this.handlers().flatMap((handler) => {
      const access = accessOf(handler.method);
      const label = `${handler.transport} handler ${handler.name}`;
      if (access === null) return [`${label} declares neither @RequirePermission, @Authenticated nor @Public`];
      const kind = access.kind === 'permission' ? access.on?.resource : undefined;
      return kind !== undefined && !this.ownership.has(kind) ? [`${label} names the unknown resource ${kind}`] : [];
    });
    if (problems.length > 0) throw new Error(`Refusing to start: ${problems.join('; ')}.`);
  }

  /** The REST routes that need no credential, as `GET /path`. */
  publicRoutes(): ReadonlySet<string> {
    const open = this.handlers().filter(({ method, route }) => route !== null && accessOf(method)?.kind === 'public');
    return new Set(open.map(({ route }) => route as string));
  }

  private handlers(): Handler[] {
    const wrappers = [...this.discovery.getControllers(), ...this.discovery.getProviders()];
    return wrappers.flatMap(({ instance }: { instance?: unknown }) =>
      typeof instance === 'object' && instance !== null ? this.handlersOf(instance) : [],
    );
  }

  private handlersOf(instance: object): Handler[] {
    const prototype = Object.getPrototypeOf(instance) as object | null;
    if (prototype === null) return [];
    return this.scanner.getAllMethodNames(prototype).flatMap((methodName): Handler[] => {
      const method: unknown = Reflect.get(prototype, methodName);
      if (typeof method !== 'function') return [];
      const name = `${instance.constructor.name}.${methodName}`;
      if (Reflect.hasMetadata(GRPC_PATTERN, method)) return [{ name, transport: 'gRPC', method, route: null }];
      if (Reflect.hasMetadata(WS_MESSAGE, method)) return [{ name, transport: 'WebSocket', method, route: null }];
      if (!Reflect.hasMetadata(REST_METHOD, method)) return [];
      return routesOf(instance.constructor, method).map((route) => ({ name, transport: 'REST', method, route }));
    });
  }
}

/** A REST handler's routes; controllers and handlers may each have several paths. */
function routesOf(controller: object, method: object): string[] {
  const verb = RequestMethod[Reflect.getMetadata(REST_METHOD, method) as number] ?? 'ALL';
  const bases = [Reflect.getMetadata(REST_PATH, controller) as string | string[]].flat();
  const paths = [Reflect.getMetadata(REST_PATH, method) as string | string[]].flat();
  return bases.flatMap((base) => paths.map((path) => `${verb} ${normalise(`/${base}/${path}`)}`));
}

const normalise = (path: string): string => path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');

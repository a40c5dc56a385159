import { execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { loadSync } from '@grpc/proto-loader';
import protobuf from 'protobufjs';

/** One gRPC method as its proto declares it. */
export interface Method {
  /** `/gatehouse.pty.v1.PtyService/Start` */
  readonly path: string;
  readonly request: protobuf.Type;
  readonly streams: boolean;
}

/** Everything of a gateway that takes input. */
export interface Surface {
  readonly routes: readonly { readonly method: string; readonly path: string }[];
  readonly messages: readonly string[];
  readonly methods: readonly Method[];
  /** Names that the public protos give to fields, which REST and WebSocket use too. */
  readonly fields: readonly string[];
}

/** Reads the surface of the built gateway and of its public protos. */
export function surface(): Surface {
  const read = execFileSync(process.execPath, ['test/fuzz/read-surface.mjs'], { encoding: 'utf8' });
  const files = globSync('gatehouse/{pty,agent,worktree}/v1/*.proto', { cwd: 'proto' });
  // What the loader of the server makes of them, so that the fuzz speaks of the same files.
  loadSync(files, { includeDirs: ['proto'] });
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => (target.startsWith('google/') ? target : `proto/${target}`);
  root.loadSync(files, { keepCase: true }).resolveAll();
  const types = everything(root);
  const methods = types
    .filter((each) => each instanceof protobuf.Service)
    .flatMap((service) => service.methodsArray.map((method) => describe(service, method)));
  const fields = types.filter((each) => each instanceof protobuf.Type).flatMap((type) => Object.keys(type.fields));
  return { ...(JSON.parse(read) as Pick<Surface, 'routes' | 'messages'>), methods, fields: [...new Set(fields)] };
}

function describe(service: protobuf.Service, method: protobuf.Method): Method {
  const path = `/${service.fullName.slice(1)}/${method.name}`;
  if (method.resolvedRequestType === null) throw new Error(`${path} has no request`);
  return { path, request: method.resolvedRequestType, streams: method.requestStream === true };
}

function everything(namespace: protobuf.NamespaceBase): protobuf.ReflectionObject[] {
  return namespace.nestedArray.flatMap((each) => [
    each,
    ...(each instanceof protobuf.Namespace ? everything(each) : []),
  ]);
}

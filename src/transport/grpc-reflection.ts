import type { handleBidiStreamingCall, Server, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';

type Answer = handleBidiStreamingCall<unknown, unknown>;
type Served = [service: ServiceDefinition, methods: UntypedServiceImplementation];

/** The versions of the service, as they would be added to a server. */
function versions(definition: PackageDefinition): Served[] {
  const served: Served[] = [];
  const collector: Pick<Server, 'addService'> = { addService: (...each) => void served.push(each) };
  new ReflectionService(definition).addToServer(collector);
  return served;
}

/**
 * Tells who asks what the server serves. What it tells is made when somebody asks: reading all descriptors would be a
 * twentieth of every start.
 * @param definition of all services that are told of
 */
export function addReflection(server: Server, definition: PackageDefinition): void {
  let told: Served[] | undefined;
  versions({}).forEach(([service], version) => {
    const answer: Answer = (call) => {
      told ??= versions(definition);
      const methods = told[version]?.[1] as { ServerReflectionInfo: Answer };
      methods.ServerReflectionInfo(call);
    };
    server.addService(service, { ServerReflectionInfo: answer });
  });
}

import type { Server, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

/** Stands for a message whose bytes are none of its method's. Nobody but the gate ever sees it. */
export const UNREADABLE: object = Object.freeze({});

/** Lets the gate answer bytes that are no message: the library would say that the server has failed. */
export function readTolerantly(server: Server): void {
  const add = server.addService.bind(server);
  server.addService = (service: ServiceDefinition, handlers: UntypedServiceImplementation): void => {
    add(tolerant(service), handlers);
  };
}

function tolerant(service: ServiceDefinition): ServiceDefinition {
  const methods = Object.entries(service).map(([name, method]) => {
    const requestDeserialize = (bytes: Buffer): unknown => {
      try {
        return method.requestDeserialize(bytes);
      } catch {
        return UNREADABLE;
      }
    };
    return [name, { ...method, requestDeserialize }] as const;
  });
  return Object.fromEntries(methods);
}

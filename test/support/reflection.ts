import type { ServiceError } from '@grpc/grpc-js';
import type { TestGateway } from './gateway.js';
import { GrpcClient } from './grpc-client.js';

/** What gRPC reflection answers to who asks for the services: the bytes as text, or the code of the refusal. */
export async function reflect(gateway: TestGateway, credential: string | null): Promise<string> {
  const grpc = new GrpcClient(gateway, credential);
  const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
  const same = (value: Buffer): Buffer => value;
  const stream = grpc.client.makeBidiStreamRequest(path, same, same, grpc.metadata);
  // host = "", list_services = ""
  stream.write(Buffer.from([0x3a, 0x00]));
  const heard = await new Promise<string>((resolve) => {
    stream.on('data', (data: Buffer) => {
      resolve(data.toString('latin1'));
    });
    stream.on('error', (error: ServiceError) => {
      resolve(String(error.code));
    });
  });
  stream.cancel();
  grpc.close();
  return heard;
}

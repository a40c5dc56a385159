// Prints what of the built gateway takes input: its REST routes, and the types of its WebSocket messages. Both are read from
// what Nest itself reads, so that a new handler is met by the fuzz without being named anywhere.
import 'reflect-metadata';
import { globSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { RequestMethod } from '@nestjs/common';

const handlers = [];
for (const file of globSync('dist/src/**/*.{controller,gateway}.js')) {
  for (const made of Object.values(await import(pathToFileURL(file).href))) {
    if (typeof made !== 'function') continue;
    for (const name of Object.getOwnPropertyNames(made.prototype ?? {})) {
      const { value } = Object.getOwnPropertyDescriptor(made.prototype, name);
      if (typeof value === 'function' && name !== 'constructor') handlers.push([made, value]);
    }
  }
}

const join = (...parts) => `/${parts.join('/')}`.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
const all = (key, target) => [Reflect.getMetadata(key, target) ?? ''].flat();
const routes = handlers
  .filter(([, method]) => Reflect.hasMetadata('method', method) && Reflect.hasMetadata('path', method))
  .flatMap(([controller, method]) =>
    all('path', controller).flatMap((base) =>
      all('path', method).map((path) => ({
        method: RequestMethod[Reflect.getMetadata('method', method)],
        path: join(base, path),
      })),
    ),
  );
const messages = handlers
  .filter(([, method]) => Reflect.hasMetadata('websockets:message_mapping', method))
  .map(([, method]) => Reflect.getMetadata('message', method));
process.stdout.write(
  JSON.stringify({ routes, messages: [...new Set(messages)].filter((type) => typeof type === 'string') }),
);
process.exit(0);

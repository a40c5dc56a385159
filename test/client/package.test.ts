import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const run = (program: string, args: string[], cwd: string): Promise<string> =>
  new Promise((done) => {
    execFile(program, args, { cwd, timeout: 60_000 }, (error, stdout, stderr) => {
      done(error === null ? stdout : `failed: ${stdout}${stderr}`);
    });
  });

describe('gatehouse/client', () => {
  let folder: string;

  // Another package that has installed this one.
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gatehouse-consumer-'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(resolve('.'), join(folder, 'node_modules', 'gatehouse'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('is imported by its name, and nothing else of the package is', async () => {
    const show = "import('gatehouse/client').then((all) => console.log(Object.keys(all).sort().join()))";
    const names = await run(process.execPath, ['--input-type=module', '-e', show], folder);
    expect(names.trim()).toBe('AttachError,AttachmentClient,MAX_KEPT_BYTES,openGlobalSocket,systemTiming');
    const inside = "import('gatehouse/dist/src/main.js')";
    expect(await run(process.execPath, ['--input-type=module', '-e', inside], folder)).toContain(
      'ERR_PACKAGE_PATH_NOT_EXPORTED',
    );
  });

  it('has types, for programs that know of no Node', async () => {
    const program = `
      import { AttachmentClient, type End } from 'gatehouse/client';
      const ends: End[] = [];
      const client = new AttachmentClient(
        { url: location.origin, session: 's', credential: () => Promise.resolve('t') },
        { onOutput: (_bytes, done) => { done(); }, onSnapshot: () => {}, onEnd: (end) => { ends.push(end); } },
      );
      client.connect();
      // @ts-expect-error text is no bytes
      client.type('text');`;
    writeFileSync(join(folder, 'page.ts'), program);
    const target = { target: 'es2024', lib: ['es2024', 'dom'], module: 'nodenext', types: [] };
    const compilerOptions = { ...target, strict: true, noEmit: true };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['page.ts'] }));
    expect(await run(process.execPath, [resolve('node_modules/typescript/bin/tsc')], folder)).toBe('');
  });

  it('imports nothing: no package, nothing of Node', () => {
    const library = resolve('dist/src/client');
    const imports = readdirSync(library)
      .filter((name) => name.endsWith('.js'))
      .flatMap((name) => [
        ...readFileSync(join(library, name), 'utf8').matchAll(/\bfrom '([^']+)'|import\('([^']+)'\)/g),
      ])
      .map(([, name, dynamic]) => name ?? dynamic);
    expect(imports.length).toBeGreaterThan(20);
    expect(imports.filter((name) => !/^\.\/[a-z-]+\.js$/.test(String(name)))).toEqual([]);
  });
});

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, loadPackageDefinition, Metadata, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import type { ProtoGrpcType } from '../../src/generated/worktree.js';
import { TestGateway } from './gateway.js';
import { type Answer, rest } from './rest.js';

const proto = loadPackageDefinition(
  loadSync('gatehouse/worktree/v1/worktree.proto', {
    ...{ keepCase: true, longs: Number, enums: String, includeDirs: ['proto'] },
  }),
) as unknown as ProtoGrpcType;

/** Plain git as a person runs it, without anybody's settings. */
export function git(cwd: string, ...args: string[]): string {
  const env = {
    ...{ GIT_AUTHOR_NAME: 'Ada', GIT_AUTHOR_EMAIL: 'ada@example.org' },
    ...{ GIT_COMMITTER_NAME: 'Ada', GIT_COMMITTER_EMAIL: 'ada@example.org' },
    ...{ PATH: process.env['PATH'], HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' },
  };
  return execFileSync('git', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trimEnd();
}

/** A gateway whose runner has a project root with repositories. */
export class WorktreeWorld {
  private constructor(
    readonly folder: string,
    readonly gateway: TestGateway,
  ) {}

  /**
   * Starts one with the repositories `app`, which has a remote `origin`, and `trusted`, whose `.gatehouse.yaml` is followed.
   * @param file what that says
   */
  static async start(environment: Record<string, string> = {}, file = ''): Promise<WorktreeWorld> {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-worktrees-')));
    const projects = join(folder, 'projects');
    mkdirSync(projects);
    git(projects, 'init', '--quiet', '--bare', '--initial-branch=main', 'origin.git');
    for (const name of ['app', 'trusted']) {
      const path = join(projects, name);
      mkdirSync(path);
      git(path, 'init', '--quiet', '--initial-branch=main');
      writeFileSync(join(path, 'readme.md'), 'hello\n');
      if (name === 'trusted') writeFileSync(join(path, '.gatehouse.yaml'), file);
      git(path, 'add', '--all');
      git(path, 'commit', '--quiet', '-m', 'first');
    }
    git(join(projects, 'app'), 'remote', 'add', 'origin', join(projects, 'origin.git'));
    git(join(projects, 'app'), 'push', '--quiet', 'origin', 'main');
    const gateway = await TestGateway.start({
      ...{ PROJECT_ROOTS: projects, TRUSTED_REPOSITORIES: join(projects, 'trusted') },
      ...environment,
    });
    return new WorktreeWorld(folder, gateway);
  }

  /** A repository's own folder. */
  repository(name = 'app'): string {
    return join(this.folder, 'projects', name);
  }

  /** One call below `/api/v1`. */
  call(
    credential: string | null,
    method: string,
    path: string,
    body?: unknown,
    gateway = this.gateway,
  ): Promise<Answer> {
    return rest(gateway, credential, method, `/api/v1${path}`, body);
  }

  /** Makes a worktree of `app`. @throws Error when it is refused */
  async create(credential: string, command: Record<string, unknown> = {}): Promise<Made> {
    const request = { repository: 'app', name: 'fix it', ...command };
    const answer = await this.call(credential, 'POST', '/worktrees', request);
    if (answer.status !== 201) throw new Error(`worktree not made: ${answer.text}`);
    return answer.body as unknown as Made;
  }

  async remove(): Promise<void> {
    await this.gateway.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A worktree as REST shows it. */
export interface Made extends Record<string, unknown> {
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly branch: string;
  readonly state: string;
  readonly setup_session_id: string | null;
}

/** A gRPC client of one gateway's worktrees, with one credential. */
export class WorktreeGrpcClient {
  readonly #client;

  constructor(
    gateway: TestGateway,
    private readonly credential: string | null,
  ) {
    this.#client = new proto.gatehouse.worktree.v1.WorktreeService(gateway.grpcAddress, credentials.createInsecure());
  }

  /** One unary call by its name in the proto file; rejects with the ServiceError. */
  call(method: string, request: object): Promise<Record<string, unknown>> {
    const metadata = new Metadata();
    if (this.credential !== null) metadata.set('authorization', `Bearer ${this.credential}`);
    const methods = this.#client as unknown as Record<string, Unary>;
    return new Promise((resolve, reject) => {
      methods[method]?.(request, metadata, (error, response) => {
        if (error) reject(error);
        else resolve(response as Record<string, unknown>);
      });
    });
  }

  close(): void {
    this.#client.close();
  }
}

type Unary = (
  request: object,
  metadata: Metadata,
  done: (error: ServiceError | null, response?: unknown) => void,
) => void;

const violation = new protobuf.Type('Violation')
  .add(new protobuf.Field('type', 1, 'string'))
  .add(new protobuf.Field('subject', 2, 'string'));
const failure = new protobuf.Type('PreconditionFailure')
  .add(violation)
  .add(new protobuf.Field('violations', 1, 'Violation', 'repeated'));
const any = new protobuf.Type('Any')
  .add(new protobuf.Field('type_url', 1, 'string'))
  .add(new protobuf.Field('value', 2, 'bytes'));
const status = new protobuf.Type('Status').add(new protobuf.Field('details', 3, 'Any', 'repeated'));
new protobuf.Root().define('w').add(failure).add(any).add(status);

/** The violations of a gRPC error, `type subject` each, as a client of google.rpc reads them. */
export function violationsOf(error: ServiceError): string[] {
  const [encoded] = error.metadata.get('grpc-status-details-bin');
  if (!Buffer.isBuffer(encoded)) return [];
  const { details } = status.toObject(status.decode(encoded)) as { details: { type_url: string; value: Buffer }[] };
  const found = details.find(({ type_url: type }) => type.endsWith('google.rpc.PreconditionFailure'));
  if (!found) return [];
  const { violations } = failure.toObject(failure.decode(found.value)) as { violations: Record<string, string>[] };
  return violations.map(({ type, subject }) => `${String(type)} ${String(subject)}`);
}

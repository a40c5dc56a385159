import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { StartAgentRequest__Output } from '../../generated/gatehouse/runner/v1/StartAgentRequest.js';
import { DomainError } from '../../kernel/errors.js';
import { isId } from '../../kernel/ids.js';
import { confine, type Confinement, type Sandbox } from '../sandbox/sandbox.js';
import type { Registry, StartedSession, StartOptions } from '../registry.js';
import { Agent } from './agent.js';
import { Caps } from './caps.js';
import { type Launch, prepareLaunch } from './launch.js';
import { parseSpec, type Spec } from './spec.js';
import { Steering } from './steering.js';

/** How often the screens are looked at: one timer for all agents. */
const LOOK_EVERY_MS = 200;

export interface AgentsOptions {
  /** The runner's folder. */
  readonly directory: string;
  /** The runner's own environment. */
  readonly baseEnvironment: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** Where its agents run in sandboxes. */
  readonly sandbox: Sandbox | undefined;
}

/** Who is told what happens to agents. */
export interface AgentsListener {
  changed(agent: Agent): void;
  /** The runner ends: nothing more is told. */
  closed(): void;
}

export interface StartedAgent extends StartedSession {
  readonly agent: Agent;
  /** Caps that were asked for and are not in force, and why. */
  readonly notApplied: readonly string[];
}

interface Held {
  readonly agent: Agent;
  readonly steering: Steering;
  readonly launch: Launch;
}

/** The agents of this runner: those whose sessions it holds. */
export class Agents {
  readonly #held = new Map<string, Held>();
  readonly #listeners = new Set<AgentsListener>();
  readonly #folder: string;
  readonly #timer: NodeJS.Timeout;
  readonly #caps: Caps;

  constructor(
    private readonly registry: Registry,
    private readonly options: AgentsOptions,
  ) {
    this.#folder = join(options.directory, 'a');
    this.#caps = Caps.ofThisMachine(options.baseEnvironment['PATH']);
    this.#timer = setInterval(this.#look, LOOK_EVERY_MS).unref();
    registry.follow({
      changed: (session) => {
        if (session.exit) this.#end(session.id);
      },
      closed: () => {
        this.#close();
      },
    });
  }

  /** Removes what a runner that was killed left. To be called before the first start, by the one runner of the folder. */
  open(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /**
   * Starts a session with an agent in it.
   * @throws DomainError INVALID_ARGUMENT, AGENT_BINARY_MISSING, START_FAILED, SESSION_LIMIT, GOING_AWAY
   */
  async start(request: StartAgentRequest__Output): Promise<StartedAgent> {
    const spec = parseSpec(request.agent ?? {});
    const agentId = request.agent_id ?? '';
    if (!isId(agentId)) throw new DomainError('INVALID_ARGUMENT', 'The agent id is not a UUID.');
    let held: Held | undefined;
    const path = this.options.baseEnvironment['PATH'];
    const { prefix, notApplied } = await this.#caps.prepare(spec);
    const launch = await prepareLaunch(spec, this.#folder, path, (message) => held?.agent.hear(message));
    try {
      const confinement = await confine(this.options.sandbox, request.session ?? {}, launch.shows);
      const started = this.registry.start(sessionOptions(request, prefix, launch, confinement));
      held = this.#hold(agentId, spec, started, launch);
      return { ...started, agent: held.agent, notApplied };
    } catch (error) {
      launch.dispose();
      throw error;
    }
  }

  /** @throws DomainError NOT_FOUND */
  get(sessionId: string): { readonly agent: Agent; readonly steering: Steering } {
    this.#forget();
    const held = this.#held.get(sessionId);
    if (!held) throw new DomainError('NOT_FOUND', 'There is no such agent.');
    return held;
  }

  list(): Agent[] {
    this.#forget();
    return [...this.#held.values()].map(({ agent }) => agent);
  }

  /** Tells `listener` what happens from now on; returns how to stop it. */
  follow(listener: AgentsListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #hold(agentId: string, spec: Spec, { session }: StartedSession, launch: Launch): Held {
    const agent = new Agent({
      ...{ agentId, session, spec },
      now: () => Date.now(),
      elapsed: () => performance.now(),
      onChange: this.#tell,
      onReady: () => void steering.message(spec.prompt, true).catch(this.#notGiven.bind(this, agent)),
    });
    const steering = new Steering(agent, (message) => launch.channel?.send(message) ?? false);
    const held = { agent, steering, launch };
    this.#forget();
    this.#held.set(session.id, held);
    this.#tell(agent);
    return held;
  }

  #end(sessionId: string): void {
    const held = this.#held.get(sessionId);
    held?.launch.dispose();
    held?.agent.end();
  }

  /** The registry keeps ended sessions for a time; agents are kept as long. */
  #forget(): void {
    for (const id of this.#held.keys()) if (!this.registry.has(id)) this.#held.delete(id);
  }

  #close(): void {
    clearInterval(this.#timer);
    rmSync(this.#folder, { recursive: true, force: true });
    for (const listener of this.#listeners) listener.closed();
  }

  #notGiven(agent: Agent, error: unknown): void {
    const code = error instanceof DomainError ? error.code : 'INTERNAL_ERROR';
    if (code === 'AGENT_AWAITS_ANSWER' || code === 'INPUT_FULL') agent.owe();
    else this.options.log.warn({ err: error, session: agent.session.id }, 'an agent could not be given its prompt');
  }

  readonly #look = (): void => {
    const elapsed = performance.now();
    for (const { agent } of this.#held.values()) agent.look(elapsed);
  };

  readonly #tell = (agent: Agent): void => {
    for (const listener of this.#listeners) listener.changed(agent);
  };
}

function sessionOptions(
  { session }: StartAgentRequest__Output,
  prefix: readonly string[],
  launch: Launch,
  confinement: Confinement | undefined,
): StartOptions {
  return {
    id: session?.id ?? '',
    command: [...prefix, ...launch.command],
    cwd: session?.cwd,
    env: session?.env ?? {},
    cols: session?.cols ?? 0,
    rows: session?.rows ?? 0,
    lifetime: { idleSeconds: session?.idle_timeout_seconds ?? 0, maxSeconds: session?.max_duration_seconds ?? 0 },
    ownEnv: launch.env,
    confinement: confinement && behind(prefix, launch, confinement),
  };
}

/** The caps are put on from outside, by a service manager that is not to be seen in the sandbox. */
function behind(prefix: readonly string[], { command }: Launch, confinement: Confinement): Confinement {
  return {
    cwd: confinement.cwd,
    wrap: (run) => {
      const inner = confinement.wrap({ ...run, command });
      return { ...inner, command: [...prefix, ...inner.command] };
    },
  };
}

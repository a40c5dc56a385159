/**
 * Caps on what an agent takes of the machine. The control groups of sessions are threaded ones, which have no memory
 * controller, so a cap is put on by the service manager: the agent is started in a scope of its own. It leaves its
 * session's group with that, and is found by descent, kernel session and environment when it is ended.
 */
import { existsSync } from 'node:fs';
import { endsWell } from '../child.js';
import { findProgram } from './program.js';

/** Where systemd is the one that started the machine. */
const BOOTED = '/run/systemd/system';
/** What the manager may take for a scope that is tried out. */
const TRY_MS = 5000;
/** So much is enough for what is tried out. */
const TRY_BYTES = 16 * 1024 * 1024;

export interface CapsAsked {
  /** 0: no cap. */
  readonly memoryBytes: number;
  /** Hundredths of a processor; 0: no cap. */
  readonly cpuPercent: number;
}

export interface CapsGiven {
  /** What the agent's command is put behind. */
  readonly prefix: readonly string[];
  /** Caps that were asked for and are not in force, and why. */
  readonly notApplied: readonly string[];
}

export interface Machine {
  /** The PATH of the runner. */
  readonly path: string | undefined;
  readonly booted: string;
  readonly isRoot: boolean;
}

/** Puts caps on agents, where this machine lets us. */
export class Caps {
  /** Why not, once it was tried; null where it works. */
  #problem: Promise<string | null> | undefined;

  constructor(private readonly machine: Machine) {}

  static ofThisMachine(path: string | undefined): Caps {
    return new Caps({ path, booted: BOOTED, isRoot: process.getuid?.() === 0 });
  }

  /** @returns how to start an agent with these caps; never throws: an agent without a cap is told, not refused */
  async prepare(asked: CapsAsked): Promise<CapsGiven> {
    const properties = propertiesOf(asked);
    if (properties.length === 0) return { prefix: [], notApplied: [] };
    this.#problem ??= this.#try();
    const problem = await this.#problem;
    if (problem !== null) return { prefix: [], notApplied: properties.map(({ name }) => `${name}: ${problem}`) };
    return { prefix: this.#command(properties.map(({ property }) => property)), notApplied: [] };
  }

  async #try(): Promise<string | null> {
    const { path, booted, isRoot } = this.machine;
    if (!existsSync(booted)) return 'systemd does not run this machine';
    if (!isRoot) return 'the runner is not root';
    if (findProgram('systemd-run', path, 'systemd-run') === undefined) return 'systemd-run is not installed';
    const [file, ...args] = [...this.#command([`MemoryMax=${TRY_BYTES}`, 'CPUQuota=100%']), 'true'];
    const works = await endsWell(file, args, { PATH: path ?? '' }, TRY_MS);
    return works ? null : 'systemd-run makes no scope here';
  }

  #command(properties: readonly string[]): string[] {
    const program = findProgram('systemd-run', this.machine.path, 'systemd-run') ?? 'systemd-run';
    return [program, '--scope', '--quiet', '--collect', ...properties.flatMap((each) => ['-p', each]), '--'];
  }
}

function propertiesOf({ memoryBytes, cpuPercent }: CapsAsked): { name: string; property: string }[] {
  return [
    ...(memoryBytes > 0 ? [{ name: 'memory_bytes', property: `MemoryMax=${memoryBytes}` }] : []),
    ...(cpuPercent > 0 ? [{ name: 'cpu_percent', property: `CPUQuota=${cpuPercent}%` }] : []),
  ];
}

import { readFileSync, statSync } from 'node:fs';
import type { z } from 'zod';
import { fileSignature } from '../kernel/file-signature.js';
import { ConfigurationError } from './load.js';
import { parseYaml, YamlMistake } from './yaml-text.js';

/** A configuration file is written by people: a larger one is a mistake. */
const MAX_BYTES = 1024 * 1024;
const LOOK_EVERY_MS = 1000;

/** What a watched file tells. */
export interface FileListener<T> {
  /** A valid change; in force when this returns. */
  readonly changed: (value: T) => void;
  /** A change that is not valid; what was before stays. Told once for each such change. */
  readonly rejected: (error: ConfigurationError) => void;
}

/**
 * A YAML file whose valid changes apply while the server runs. It is looked at every second rather than listened to: that
 * works for editors that replace a file, for mounted secrets, and on every file system. A change applies when two looks in
 * a row found the same: what is being written is not read half, and a file that was emptied takes no rule away.
 */
export class YamlFile<T> {
  #value: T;
  #text: string | null;
  /** Did the last valid content say anything? */
  #full: boolean;
  #seen: string;
  /** What the last look found, where that was new. */
  #changing: string | null = null;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Reads the file; where there is none the schema gets an empty object.
   * @throws ConfigurationError with the path of every wrong field
   */
  constructor(
    readonly path: string,
    private readonly schema: z.ZodType<T>,
  ) {
    this.#seen = fileSignature(path);
    this.#text = read(path);
    const content = this.#content(this.#text);
    this.#full = content !== null;
    this.#value = this.#parsed(content);
  }

  /** The last valid content. */
  get value(): T {
    return this.#value;
  }

  /** Begins to look for changes. */
  watch(listener: FileListener<T>): void {
    this.#timer = setInterval(() => {
      this.#look(listener);
    }, LOOK_EVERY_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look({ changed, rejected }: FileListener<T>): void {
    const now = fileSignature(this.path);
    const settled = now === this.#changing;
    this.#changing = now === this.#seen ? null : now;
    if (now === this.#seen || !settled) return;
    try {
      const text = read(this.path);
      // Changed again while it was read: the next looks tell when that is over.
      if (fileSignature(this.path) !== now) return;
      this.#seen = now;
      if (text === this.#text) return;
      this.#apply(text);
    } catch (error) {
      this.#seen = now;
      rejected(error instanceof ConfigurationError ? error : unreadable(this.path, error));
      return;
    }
    changed(this.#value);
  }

  #apply(text: string | null): void {
    if (text === null) throw new ConfigurationError([`${this.path}: the file is gone`]);
    const content = this.#content(text);
    if (content === null && this.#full) {
      throw new ConfigurationError([`${this.path}: the file is empty; {} stands for one that says nothing`]);
    }
    this.#value = this.#parsed(content);
    this.#full = content !== null;
    this.#text = text;
  }

  /** What the text says; null when there is none, or nothing in it. */
  #content(text: string | null): unknown {
    try {
      return text === null ? null : parseYaml(text);
    } catch (error) {
      if (error instanceof YamlMistake) throw new ConfigurationError([`${this.path}: ${error.message}`]);
      throw error;
    }
  }

  #parsed(content: unknown): T {
    const parsed = this.schema.safeParse(content ?? {});
    if (parsed.success) return parsed.data;
    throw new ConfigurationError(
      parsed.error.issues.map(({ path, message }) => `${this.path}: ${path.join('.') || '(file)'}: ${message}`),
    );
  }
}

function read(path: string): string | null {
  try {
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > MAX_BYTES) {
      throw new ConfigurationError([`${path}: larger than ${MAX_BYTES} bytes`]);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error instanceof ConfigurationError ? error : unreadable(path, error);
  }
}

const unreadable = (path: string, error: unknown): ConfigurationError =>
  new ConfigurationError([`${path}: cannot be read (${codeOf(error)})`]);

const codeOf = (error: unknown): string => String((Object(error) as { code?: unknown }).code);

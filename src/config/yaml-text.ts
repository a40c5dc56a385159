import { CST, type Document, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument, Parser } from 'yaml';

/** A configuration file is written by people: a larger one is a mistake, and reading it would hold everything else up. */
const MAX_CHARACTERS = 1024 * 1024;
const MAX_LINES = 50_000;
const MAX_NESTING = 32;
/** Words, marks and spaces; 10,000 bindings have some 400,000. */
const MAX_TOKENS = 600_000;
/** Names in one mapping. */
const MAX_NAMES = 10_000;
/** How much of a name a message repeats. */
const MAX_SHOWN = 80;

/** What is wrong with the text, in a sentence. */
export class YamlMistake extends Error {}

/**
 * Reads one YAML document: no name twice, no aliases, which could unfold to any size, and no name that schemas do not see.
 * The cost grows with the length of the text and with nothing else, since it is read between the calls of a running server.
 * @returns null for a document without content, such as one of comments only
 * @throws YamlMistake
 */
export function parseYaml(text: string): unknown {
  requireModest(text);
  const lineCounter = new LineCounter();
  // The library looks for repeated names by comparing each with each, and draws a picture of every mistake.
  const document = parseDocument(text, { uniqueKeys: false, strict: true, prettyErrors: false, lineCounter });
  const [problem] = document.errors;
  if (problem) {
    const { line, col } = lineCounter.linePos(problem.pos[0]);
    throw new YamlMistake(`${problem.message} at line ${line}, column ${col}`);
  }
  checkNames(document, lineCounter);
  return document.toJS() as unknown;
}

/** Bounds what the library is given: it collects every mistake, and calls itself for every level. */
function requireModest(text: string): void {
  if (text.length > MAX_CHARACTERS) throw new YamlMistake(`longer than ${MAX_CHARACTERS} characters`);
  const nesting = new Nesting();
  const parser = new Parser();
  let tokens = 0;
  for (const token of new Lexer().lex(text)) {
    nesting.take(token);
    tokens += 1;
    if (tokens > MAX_TOKENS) throw new YamlMistake(`more than ${MAX_TOKENS} words and marks`);
    if (nesting.lines > MAX_LINES) throw new YamlMistake(`more than ${MAX_LINES} lines`);
    if (nesting.depth > MAX_NESTING) throw new YamlMistake(`nested deeper than ${MAX_NESTING} levels`);
    for (const part of parser.next(token)) {
      if (part.type === 'error') throw new YamlMistake(`${part.message} at line ${nesting.lines}`);
    }
  }
}

/** Tokens after which something can begin that is nested in what they belong to. */
const LEADING: ReadonlySet<string | null> = new Set([
  ...['anchor', 'tag', 'seq-item-ind', 'explicit-key-ind', 'map-value-ind'],
]);

/** What the lexer puts between the texts; after the last of them a text is a scalar, whatever it looks like. */
const MARKS: ReadonlySet<string> = new Set([CST.BOM, CST.DOCUMENT, CST.FLOW_END, CST.SCALAR]);

/** How deep a text is nested where its reader is, told from brackets and from the columns at which things begin. */
class Nesting {
  lines = 1;
  #brackets = 0;
  readonly #columns: number[] = [];
  #column = 0;
  #scalar = false;
  /** Can something nested begin here? */
  #beginning = true;

  get depth(): number {
    return this.#brackets + this.#columns.length;
  }

  /** @param token as the lexer gives them: marks without a width, and the texts between them */
  take(token: string): void {
    if (token === CST.SCALAR) this.#scalar = true;
    if (MARKS.has(token)) return;
    const type = this.#scalar ? 'scalar' : CST.tokenType(token);
    this.#scalar = false;
    if (type === 'flow-map-start' || type === 'flow-seq-start') this.#brackets += 1;
    if (type === 'flow-map-end' || type === 'flow-seq-end') this.#brackets = Math.max(this.#brackets - 1, 0);
    const shown = type !== 'space' && type !== 'newline' && type !== 'comment';
    if (shown && this.#beginning && this.#brackets === 0) this.#begin();
    this.#advance(token);
    this.#beginning = this.#column === 0 || (type === 'space' ? this.#beginning : LEADING.has(type));
  }

  #begin(): void {
    while ((this.#columns.at(-1) ?? -1) >= this.#column) this.#columns.pop();
    this.#columns.push(this.#column);
  }

  #advance(token: string): void {
    const end = token.lastIndexOf('\n');
    this.#column = end < 0 ? this.#column + token.length : token.length - end - 1;
    for (let at = end; at >= 0; at = at === 0 ? -1 : token.lastIndexOf('\n', at - 1)) this.lines += 1;
  }
}

/** @throws YamlMistake for the first name that cannot be taken as it stands */
function checkNames({ contents }: Document, lines: LineCounter): void {
  const left: unknown[] = [contents];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    if (isAlias(node)) throw new YamlMistake('aliases are not supported');
    if (isMap(node)) {
      checkMap(
        node.items.map(({ key }) => key),
        lines,
      );
      for (const { value } of node.items) left.push(value);
    } else if (isSeq(node)) for (const item of node.items) left.push(item);
  }
}

function checkMap(names: readonly unknown[], lines: LineCounter): void {
  if (names.length > MAX_NAMES) throw new YamlMistake(`more than ${MAX_NAMES} names in one mapping`);
  const seen = new Set<string>();
  for (const name of names) {
    if (!isScalar(name)) throw new YamlMistake('a name is a text; lists and mappings cannot be one');
    const text = String(name.value);
    if (text === '__proto__') throw new YamlMistake('nothing can be called __proto__');
    if (seen.has(text)) {
      const { line } = lines.linePos(name.range?.[0] ?? 0);
      throw new YamlMistake(`${JSON.stringify(text.slice(0, MAX_SHOWN))} is there twice, at line ${line}`);
    }
    seen.add(text);
  }
}

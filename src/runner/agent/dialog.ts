/** Which of several questions the dialog on a screen asks: pure. */
import type { Asked, Question } from './asked-permissions.js';

/** Shorter ones have to stand alone: they are in too many words. */
const MIN_PART_LENGTH = 8;
const MIN_LENGTH = 2;
/** So much of a sign is looked for. */
const MAX_LENGTH = 60;
/** Frames and the marks of a choice. */
const FRAMES = /[\u2500-\u259f\u276f\u203a]/g;
const WORD = /[\p{L}\p{N}_]/u;

/**
 * @param dialog its lines
 * @param all what may be asked
 * @returns the one that is asked, undefined when that cannot be told
 */
export function askedBy(dialog: readonly string[], all: readonly Asked[]): Asked | undefined {
  const page = pageOf(dialog);
  const found = all
    .map((asked) => ({ asked, likeness: likenessOf(asked, page) }))
    .toSorted((one, other) => other.likeness - one.likeness);
  const [best, next] = found;
  return best !== undefined && best.likeness > 0 && best.likeness !== next?.likeness ? best.asked : undefined;
}

/** Can it be told by a dialog what that is about? */
export function canBeTold({ signs }: Question): boolean {
  return signs.some((sign) => pageOf([sign]).squeezed.length >= MIN_LENGTH);
}

interface Page {
  /** Without spaces and frames, so that it does not matter where a line was broken. */
  readonly squeezed: string;
  readonly words: string;
}

function pageOf(lines: readonly string[]): Page {
  const plain = lines.join('\n').replace(FRAMES, ' ').toLowerCase();
  return { squeezed: plain.replace(/\s+/g, ''), words: plain.replace(/\s+/g, ' ').trim() };
}

/** How much of what it is about is there; of one of which nothing is told, its tool's name. */
function likenessOf(asked: Question, page: Page): number {
  const { signs, call } = asked;
  if (canBeTold(asked)) return signs.reduce((sum, sign) => sum + lengthOf(sign, page), 0);
  const name = call?.name.split('__').at(-1) ?? '';
  return name !== '' && standsAlone(name.toLowerCase(), page.words) ? 1 : 0;
}

/** @returns 0 when it is not there */
function lengthOf(sign: string, page: Page): number {
  const { squeezed, words } = pageOf([sign]);
  const some = squeezed.slice(0, MAX_LENGTH);
  if (some.length >= MIN_PART_LENGTH && page.squeezed.includes(some)) return some.length;
  if (some.length >= MIN_LENGTH && squeezed.length < MIN_PART_LENGTH && standsAlone(words, page.words)) {
    return some.length;
  }
  // A path is shown from the folder that the program works in.
  const name = /^\/.*\/([^/\s]+)$/.exec(words)?.[1] ?? '';
  return name.length >= MIN_LENGTH && standsAlone(name, page.words) ? name.length : 0;
}

function standsAlone(word: string, text: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (!WORD.test(text[at - 1] ?? ' ') && !WORD.test(text[at + word.length] ?? ' ')) return true;
  }
  return false;
}

import type { Attributes, Charset, EmulatorState } from './emulator.js';

const FLAGS = [
  ['isBold', 1],
  ['isDim', 2],
  ['isItalic', 3],
  ['isBlink', 5],
  ['isInverse', 7],
  ['isInvisible', 8],
  ['isStrikethrough', 9],
  ['isOverline', 53],
] as const;

/** How the emulator marks the kind of a colour. The first sixteen are one: their brightness may depend on bold. */
const KIND = 0x3000000;
const SIXTEEN = 0x1000000;
const PALETTE = 0x2000000;
const RGB = 0x3000000;
const UNDERLINED = 0x10000000;
const STYLE = 0x1c000000;
const STYLE_SHIFT = 26;
/** Longest address of a hyperlink that is kept. */
const MAX_URI = 2048;

/** The sequence that sets exactly these attributes, whatever was set before. */
export function sgrOf(attributes: Attributes): string {
  return sequence(attributes, attributes.hasExtendedAttrs() !== 0);
}

/** The same for what is printed next: the colour of an underline may be set already and the underline not yet. */
export function penOf(attributes: Attributes): string {
  return sequence(attributes, true);
}

/** @param extended whether the extended attributes are this one's: those of a cell without any are left from another */
function sequence(attributes: Attributes, extended: boolean): string {
  const codes: (number | string)[] = [0];
  for (const [name, code] of FLAGS) if (attributes[name]() !== 0) codes.push(code);
  const underline = extended ? underlineStyle(attributes) : attributes.isUnderline();
  if (underline !== 0) codes.push(`4:${underline}`);
  if (extended) codes.push(...underlineColor(attributes.extended.underlineColor));
  codes.push(...foreground(attributes), ...background(attributes));
  return `\x1b[${codes.join(';')}m`;
}

/** The style asked for, 0 for none: of a hyperlink the emulator tells its own instead. */
function underlineStyle({ fg, extended }: Attributes): number {
  return (fg & UNDERLINED) === 0 ? 0 : (extended._ext & STYLE) >>> STYLE_SHIFT || 1;
}

/** @param marked a colour, marked with its kind */
function underlineColor(marked: number): string[] {
  const color = marked & 0xffffff;
  switch (marked & KIND) {
    case SIXTEEN:
    case PALETTE:
      return [`58:5:${color & 0xff}`];
    case RGB:
      return [`58:2::${rgb(color, ':')}`];
    default:
      return [];
  }
}

function foreground(attributes: Attributes): string[] {
  const color = attributes.getFgColor();
  if (attributes.isFgRGB()) return [`38;2;${rgb(color, ';')}`];
  if (!attributes.isFgPalette()) return [];
  return [attributes.getFgColorMode() === SIXTEEN ? sixteenth(color, 30) : `38;5;${color}`];
}

function background(attributes: Attributes): string[] {
  const color = attributes.getBgColor();
  if (attributes.isBgRGB()) return [`48;2;${rgb(color, ';')}`];
  if (!attributes.isBgPalette()) return [];
  return [attributes.getBgColorMode() === SIXTEEN ? sixteenth(color, 40) : `48;5;${color}`];
}

const sixteenth = (color: number, base: number): string => String(color < 8 ? base + color : base + 52 + color);

const rgb = (color: number, separator: string): string =>
  [(color >>> 16) & 0xff, (color >>> 8) & 0xff, color & 0xff].join(separator);

/** The number of the hyperlink that these belong to, 0 for none; what it led to may be forgotten, which is none too. */
export function linkOf(attributes: Attributes, { _oscLinkService: links }: EmulatorState): number {
  const link = attributes.hasExtendedAttrs() === 0 ? 0 : attributes.extended.urlId;
  const uri = link === 0 ? undefined : links.getLinkData(link)?.uri;
  return uri === undefined || uri.length > MAX_URI ? 0 : link;
}

/** The sequence that begins a hyperlink, or ends one: 0. */
export function linkSequence(link: number, { _oscLinkService: links }: EmulatorState): string {
  const { id, uri = '' } = (link === 0 ? undefined : links.getLinkData(link)) ?? {};
  return `\x1b]8;${id === undefined ? '' : `id=${printable(id)}`};${printable(uri)}\x1b\\`;
}

/** What the emulator parsed has no control characters, and is checked all the same: it goes to clients in a sequence. */
export const printable = (text: string): string => text.replace(/\p{Cc}/gu, '');

/** The letter that designates a character set: line drawing, British, else ASCII. */
export function designation(charset: Charset): string {
  if (charset?.['q'] === '─') return '0';
  return charset?.['#'] === '£' ? 'A' : 'B';
}

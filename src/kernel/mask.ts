/**
 * Masks secrets anywhere inside a text. The one way that logs, errors and audit metadata use, with mask-value.ts for
 * what is no text. A mask shows the kind and nothing else, except the end of an API key's public id.
 */
import { NAMED_FORMS, SECRET_FORMS, SECRET_HINT } from './secret-forms.js';

/** Longest text that is searched, in characters; the rest is cut, so that masking costs a bounded time. */
const MAX_MASKED_LENGTH = 32_768;
/** So often a text may have been encoded for an address. */
const MAX_ENCODINGS = 3;
const CUT = '…';

/** The same text with every secret in it masked; at most 32 Ki characters and a sign that there were more. */
export function mask(text: string): string {
  if (text.length <= MAX_MASKED_LENGTH && !SECRET_HINT.test(text)) return text;
  const whole = text.length > MAX_MASKED_LENGTH ? `${wholeWords(text.slice(0, MAX_MASKED_LENGTH))}${CUT}` : text;
  return maskPlain(whole.includes('%') ? maskEncoded(whole) : whole);
}

function maskPlain(text: string): string {
  let masked = text;
  for (const { expression, shown } of SECRET_FORMS) masked = masked.replace(expression, shown);
  for (const { expression, shown } of NAMED_FORMS) masked = masked.replace(expression, shown);
  return masked;
}

/** Words that hide a secret behind the encoding of addresses are shown decoded and masked, the others as they are. */
function maskEncoded(text: string): string {
  return text
    .split(/(\s+)/)
    .map((word) => (word.includes('%') ? maskEncodedWord(word) : word))
    .join('');
}

/** As it is first: what a secret has encoded in it belongs to it. */
function maskEncodedWord(word: string): string {
  let decoded = maskPlain(word);
  let shown = decoded;
  for (let times = 0; times < MAX_ENCODINGS; times += 1) {
    const next = decode(decoded);
    if (next === decoded) break;
    decoded = maskPlain(next);
    if (decoded !== next) shown = decoded;
  }
  return shown;
}

function decode(text: string): string {
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'));
}

/** Without its last word, of which a part may be missing: half a secret is not recognised as one. */
function wholeWords(text: string): string {
  const end = text.lastIndexOf(' ');
  return end > text.length - 1000 ? text.slice(0, end) : text;
}

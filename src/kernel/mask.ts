/**
 * Masks secrets anywhere inside a text or a JSON value. The one list that logs, errors and audit metadata use.
 * A mask shows the kind and nothing else, except an API key's public id.
 */

/** Names whose value is secret, in the middle of a text: `DATABASE_PASSWORD=…`, `"token": …`. */
const NAMED = String.raw`(?:password|passwd|pwd|passphrase|secret|token|access[_-]?key|private[_-]?key)`;
/**
 * Not where a permission of the area `token` stands, which is no secret: that name exactly, as a word of its own and with
 * nothing behind it that a secret could go on with.
 */
const NO_PERMISSION = String.raw`(?!(?-i:(?<![\w-])token:(?:mint|revoke)(?=[.)\]]*(?:$|[\s,;&}]|\\*["']))))`;
/** A quote as it stands in a text, or escaped any number of times, as in JSON that was put into JSON. */
const QUOTE = String.raw`\\*["']`;
/** A quoted value ends at the quote that is escaped as often as its first, a bracket's at its first end; or never. */
const VALUE = String.raw`(?:(?<open>${QUOTE})[\s\S]*?(?:(?<!\\)\k<open>|$)|[[{][\s\S]*?(?:[\]}]|$)|[^\s,;&"'}]+)`;
/** Where a word begins; the letter of an escaped line break before it is not part of the word. */
const START = String.raw`(?:\b|(?<=\\[nrtbf]))`;

const pattern = (source: string, flags = 'g'): RegExp => new RegExp(source, flags);

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]{0,20000}?(?:-----END [A-Z0-9 ]{1,40}-----|$)/g, 'pem_****'],
  [pattern(String.raw`${START}eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,4}`), 'jwt_****'],
  [pattern(String.raw`${START}gh_(live|test)_([0-9A-Za-z]{16})_[0-9A-Za-z]+`), 'gh_$1_$2_****'],
  [pattern(String.raw`${START}gh_ticket_[A-Za-z0-9_-]+`), 'gh_ticket_****'],
  [pattern(String.raw`${START}sk-ant-[A-Za-z0-9_-]{6,}`), 'sk-ant_****'],
  [pattern(String.raw`${START}sk-[A-Za-z0-9_-]{12,}`), 'sk_****'],
  [pattern(String.raw`${START}gh[pousr]_[A-Za-z0-9]{16,}`), 'github_****'],
  [pattern(String.raw`${START}github_pat_[A-Za-z0-9_]{16,}`), 'github_****'],
  [pattern(String.raw`${START}(?:AKIA|ASIA)[A-Z0-9]{16}\b`), 'aws_****'],
  [pattern(String.raw`${START}((?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{6,}`, 'gi'), '$1****'],
  // Who has the address may post.
  [/(hooks\.slack(?:-gov)?\.com)\/[A-Za-z0-9_/%-]+/gi, '$1/****'],
  // To the last @ of the word: a password may have one in it.
  [pattern(String.raw`${START}([a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@]{0,200}):\S{1,500}@`, 'gi'), '$1:****@'],
  [/((?:authorization|cookie):[ \t]{0,4})[^\r\n"'\\]+/gi, '$1****'],
  [pattern(String.raw`((?:authorization|cookie)${QUOTE}\s{0,4}:\s{0,4})${VALUE}`, 'gi'), '$1****'],
  // `api_key:<id>` names a resource, so a colon counts only after a quote or in the header's name.
  [
    pattern(
      String.raw`((?:api[_-]?key(?:${QUOTE})?\s{0,4}=|api[_-]?key${QUOTE}\s{0,4}:|x-api-key:)\s{0,4})${VALUE}`,
      'gi',
    ),
    '$1****',
  ],
  [pattern(String.raw`(${NO_PERMISSION}${NAMED}(?:${QUOTE})?\s{0,4}[=:]\s{0,4})${VALUE}`, 'gi'), '$1****'],
];

/** What every pattern needs: most texts have none of it and are done. */
const HINT =
  /eyJ|hooks\.slack|gh(?:[pousr]|_live|_test|_ticket)_|sk-|github_|AKIA|ASIA|-----|:\/\/|bearer|basic|authorization|cookie|key|passw|pwd|passphrase|secret|token/i;

/** Field names whose whole value is secret; `credential_id` and `token_count` are not. */
const SECRET_NAME =
  /(?:password|passwd|pwd|passphrase|secret|token|(?:api|access|private|secret|signing)[_-]?key|authorization|cookie|credential)s?$/i;

/** Longest text that is searched; the rest is cut, so that masking costs a bounded time. */
const MAX_MASKED_LENGTH = 32_768;
/** What a JSON value keeps: values in all, characters in all, levels. */
const MAX_VALUES = 2000;
const MAX_CHARACTERS = 65_536;
const MAX_DEPTH = 12;
const HIDDEN = '****';
const CUT = '…';

/** The same text with every secret in it masked; at most 32 Ki characters and a sign that there were more. */
export function mask(text: string): string {
  if (text.length <= MAX_MASKED_LENGTH && !HINT.test(text)) return text;
  let masked = text.length > MAX_MASKED_LENGTH ? `${wholeWords(text.slice(0, MAX_MASKED_LENGTH))}${CUT}` : text;
  for (const [expression, replacement] of PATTERNS) masked = masked.replace(expression, replacement);
  return masked;
}

/** Is the value of a field with this name secret, whatever it is? */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/**
 * A copy of a JSON value (what `JSON.parse` gives) with every secret masked: the value of every field with a secret
 * name, and what a text holds. Bounded: what is too deep or too much is replaced by `…`.
 */
export function maskJson(value: unknown): unknown {
  return maskWithin({ values: MAX_VALUES, characters: MAX_CHARACTERS }, value, 0);
}

/** What may still be kept. */
interface Budget {
  values: number;
  characters: number;
}

function maskWithin(budget: Budget, value: unknown, depth: number): unknown {
  budget.values -= 1;
  if (budget.values < 0 || budget.characters < 0) return CUT;
  if (typeof value === 'string') return maskText(budget, value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return CUT;
  if (Array.isArray(value)) {
    return value.slice(0, budget.values + 1).map((each) => maskWithin(budget, each, depth + 1));
  }
  // Not by assignment: a field may be called __proto__.
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, budget.values + 1)
      .map(([name, field]) => [
        maskText(budget, name),
        isSecretName(name) && field !== null ? HIDDEN : maskWithin(budget, field, depth + 1),
      ]),
  );
}

function maskText(budget: Budget, text: string): string {
  const masked = mask(text);
  const kept = masked.length > budget.characters ? `${masked.slice(0, Math.max(budget.characters, 0))}${CUT}` : masked;
  budget.characters -= masked.length;
  return kept;
}

/** Without its last word, of which a part may be missing: half a secret is not recognised as one. */
function wholeWords(text: string): string {
  const end = text.lastIndexOf(' ');
  return end > text.length - 1000 ? text.slice(0, end) : text;
}

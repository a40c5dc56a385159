/** What secrets look like, and what stands before them. The one list: of the mask (mask.ts) and of the scans for secrets. */

/** A secret that is known by its own form, wherever it stands. */
export interface SecretForm {
  readonly kind: string;
  readonly expression: RegExp;
  /** What is shown instead; `$1` and the like are what the expression kept. */
  readonly shown: string;
}

const pattern = (source: string, flags = 'g'): RegExp => new RegExp(source, flags);
const form = (kind: string, expression: RegExp, shown = `${kind}_****`): SecretForm => ({ kind, expression, shown });

/** Where a word begins; the letters of an escaped line break or an encoded character before it are no part of the word. */
const START = String.raw`(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2}))`;

const SCHEME = String.raw`[a-z][a-z0-9+.-]{1,20}:(?:\\*\/){2}`;
/** The port of an address, and what ends it. */
const PORT = String.raw`\d{1,5}(?:[?#,]|\\*[/"'])`;

/** In this order: the more particular first. Each costs a time that grows with the text and no faster. */
export const SECRET_FORMS: readonly SecretForm[] = [
  // One that is cut off goes to the end of the text.
  form('pem', /-----BEGIN [A-Z0-9 ]{1,40}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,40}-----|$)/g),
  form('jwt', /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,4}/g),
  // Glued to a word: bounded, as every place in a long word may be the beginning of one.
  form('jwt', /eyJ[A-Za-z0-9_-]{4,500}(?:\.[A-Za-z0-9_-]*){1,4}/g),
  // The end of the public id tells which key it was.
  form('gh_live', /gh_live_[0-9A-Za-z]{12}([0-9A-Za-z]{4})_[0-9A-Za-z]+/g, 'gh_live_****$1'),
  form('gh_test', /gh_test_[0-9A-Za-z]{12}([0-9A-Za-z]{4})_[0-9A-Za-z]+/g, 'gh_test_****$1'),
  form('gh_live', /gh_live_[0-9A-Za-z]{17,}(?:_[0-9A-Za-z]*)?/g),
  form('gh_test', /gh_test_[0-9A-Za-z]{17,}(?:_[0-9A-Za-z]*)?/g),
  form('gh_ticket', /gh_ticket_[A-Za-z0-9_-]{6,}/g),
  form('sk-ant', /sk-ant-[A-Za-z0-9_-]{6,}/g),
  form('sk', pattern(String.raw`${START}sk-[A-Za-z0-9_-]{12,}`)),
  form('github', /gh[opusr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}/g),
  // Its secret has no form of its own, but often stands next to it.
  form(
    'aws',
    /(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])(?:(?:[\s"'\\,;:|=]|%(?:25)?[0-9A-F]{2}){1,8}(?:[A-Za-z0-9/+]|%(?:25)?2[BF]){40}=?(?![A-Za-z0-9/+=]))?/g,
  ),
  // Who has the address may post.
  form('slack', /(hooks\.slack(?:-gov)?\.com)(?:\\*\/)(?!slack_\*)[A-Za-z0-9_/%\\-]+/gi, '$1/slack_****'),
  // A token in the place of a name; GitHub wants a fixed word, or nothing, as its password.
  form(
    'url',
    pattern(String.raw`${START}(${SCHEME})[A-Za-z0-9._~%+=$!*-]{16,500}(?=(?::(?:x-oauth-basic)?)?@)`, 'gi'),
    '$1user_****',
  ),
  // To the last @ of the word: a password may have one in it. Not behind a host's port.
  form(
    'url',
    pattern(String.raw`${START}(${SCHEME}[^\s:/@]{0,200}):(?!(?<=[^/]:)${PORT})\S{1,500}@`, 'gi'),
    '$1:password_****@',
  ),
];

/** A quote as it stands in a text, or escaped any number of times, as in JSON that was put into JSON. */
const QUOTE = String.raw`\\{0,64}["']`;
/** The word in a name that says so, and what may stand behind it: there may be several, and one of before or to come. */
const WORD = String.raw`(?:password|passwd|pwd|passphrase|secret|token|credential|webhook[_-]?url|(?:access|private|secret|signing|master|encryption)[_-]?key|(?:${START}|(?<=\d))pass|(?-i:(?<=[a-z])Pass))`;
const TAIL = String.raw`s?(?:[_-]?(?:previous|old|new|value))?`;
/** Not a number of tokens or secrets, nor of tests that pass: the number is all there is. */
const NO_COUNT = String.raw`(?!(?:(?:token|secret)s(?:${QUOTE})?[\s:=>]{1,9}\d{1,12}(?=$|[\s})\];<&\\"']|,(?![A-Za-z0-9]))|(?<![\w-])pass: \d{1,5}(?!\S)))`;
/** Names whose value is secret, in the middle of a text: `DATABASE_PASSWORD=…`, `"token": …`. */
const NAMED = `${NO_COUNT}${WORD}${TAIL}`;
/**
 * Not where a permission of the areas `token` and `secrets` stands, which is no secret: that name exactly, as a word of its
 * own and with nothing behind it that a secret could go on with.
 */
const NO_PERMISSION = String.raw`(?!(?-i:(?<![\w-])(?:token:(?:mint|revoke)|secrets:(?:view|write|rekey))(?=[.)\]]*(?:$|[\s,;&}]|\\*["']))))`;
/** A quoted value ends at the quote that is escaped as often as its first, a bracket's at its first end; or never. */
const VALUE = String.raw`(?!secret_\*)(?:(?<open>${QUOTE})[\s\S]*?(?:(?<!\\)\k<open>|$)|[[{][\s\S]*?(?:[\]}]|$)|[^\s&"']+)`;
const HEADER = String.raw`(?:authorization|cookie2?|x-api-key)`;
const SHOWN = '$1secret_****';

/** Secrets that are known by what stands before them only. */
export const NAMED_FORMS: readonly SecretForm[] = [
  form(
    'bearer',
    pattern(String.raw`${START}(Bearer\s{1,8})(?!bearer_\*)[A-Za-z0-9+/=._~-]{6,}`, 'gi'),
    '$1bearer_****',
  ),
  form('basic', pattern(String.raw`${START}(Basic\s{1,8})(?!basic_\*)[A-Za-z0-9+/=._~-]{6,}`, 'gi'), '$1basic_****'),
  // What a header has in quotes, as some cookies are, is part of it.
  form('header', pattern(String.raw`(${HEADER}[:=][ \t]{0,4})(?:[^\r\n"'\\]|(?<==)\\{0,64}"[^"\r\n]*")+`, 'gi'), SHOWN),
  form('header', pattern(String.raw`(${HEADER}${QUOTE}\s{0,4}[:,]\s{0,4})${VALUE}`, 'gi'), SHOWN),
  // `api_key:<id>` names a resource, so a colon counts only after a quote, before a space or in the header's name.
  form(
    'secret',
    pattern(
      String.raw`((?:api[_-]?key(?:${QUOTE})?\s{0,4}=>?|api[_-]?key${QUOTE}\s{0,4}:|api[_-]?key:(?=\s))\s{0,4})${VALUE}`,
      'gi',
    ),
    SHOWN,
  ),
  // YAML: a block of lines, then a value that goes to the end of its line, as in a file of variables.
  form(
    'secret',
    pattern(
      String.raw`(${NAMED}(?:${QUOTE})?[ \t]{0,4}:[ \t]{0,4}[|>][-+\d]{0,3}[ \t]*(?:\r?\n|\r))(?:[ \t][^\r\n]*(?:\r?\n|\r|$))+`,
      'gi',
    ),
    `${SHOWN}\n`,
  ),
  form(
    'secret',
    pattern(
      String.raw`^([ \t]{0,64}(?:export |- )?[\w.-]{0,64}(?:password|passwd|pwd|passphrase|(?<=[_.-])pass)${TAIL}[ \t]{0,4}[:=][ \t]{0,4})[^\s"'[{][^\r\n]*`,
      'gim',
    ),
    SHOWN,
  ),
  form(
    'secret',
    pattern(String.raw`(${NO_PERMISSION}${NAMED}(?:${QUOTE})?\s{0,4}(?:=>|=(?!>)|:)\s{0,4})${VALUE}`, 'gi'),
    SHOWN,
  ),
  // An argument of its own, and an element of XML.
  form(
    'secret',
    pattern(String.raw`(--(?:[a-z0-9]{1,20}-){0,4}(?:${NAMED}|api-?key)[ \t]{1,4})(?!-)${VALUE}`, 'gi'),
    SHOWN,
  ),
  form('secret', pattern(String.raw`(<[\w:.-]{0,64}${NAMED}>)[^<]+`, 'gi'), SHOWN),
];

/** What every form needs: most texts have none of it and are done. */
export const SECRET_HINT =
  /eyJ|hooks\.slack|gh(?:[pousr]|_live|_test|_ticket)_|sk-|github_|AKIA|ASIA|-----|:\\*\/|%[0-9a-f]{2}|bearer|basic|authorization|cookie|key|pass|pwd|secret|token|credential|webhook/i;

/** Field names whose whole value is secret; `credential_id` and `token_count` are not. */
const SECRET_NAME = pattern(`(?:${WORD}|api[_-]?key|authorization|cookie)${TAIL}$`, 'i');
const HEADER_NAME = /^(?:proxy-)?authorization$|^(?:set-)?cookie2?$|^x-api-key$/i;

/** Is the value of a field with this name secret, whatever it is? */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** Is this the name of a header whose value is secret? */
export function isSecretHeader(name: string): boolean {
  return HEADER_NAME.test(name);
}

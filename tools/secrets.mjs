// Looks for secrets in every file that git tracks, by the same forms as the mask of logs (src/kernel/secret-forms.ts).
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { SECRET_FORMS } from '../dist/src/kernel/secret-forms.js';

/** Files larger than this are no text of ours. */
const MAX_BYTES = 2 * 1024 * 1024;

/** Values that are published as examples, or made up for a test; each opens nothing. Matched to the letter or by form. */
const ALLOWED = [
  // Amazon's own example.
  /^A[KS]IAIOSFODNN7EXAMPLE$/,
  // Passwords in addresses: words, or what a template puts in.
  /:\/\/[^:]*:(?:hunter2|password|secret|secretsecret|secret-path|a-password-of-it|x|100%|…|\$\{[\w.]+\})@(?:p@)?$/,
  // Letters and digits in their order, words, and nothing behind a prefix.
  /^sk-ant-(?:api03-(?:abcdefghijkl|(?:scripted-?)+AA|)|of-the-test)$/,
  /^ghp_0123456789abcdefghij0123456789abcdef$/,
  /^gh_live_(?:0123456789abcdef_secretsecret|Aa0000000000000A_0123456789abcdefghijklmnopqrstuvwxyz)$/,
  /^hooks\.slack\.com\/services\/(?:T\/B\/(?:x|secret)|T000\/B000\/(?:abcdefgh)?|hunter2)?$/,
  // Signed by the words "signature" and "secret".
  /^eyJ(?:aaaa\.|hbGciOiJIUzI1NiJ9\.eyJzdWIiOiJhIn0\.(?:c2lnbmF0dXJl|c2VjcmV0))$/,
  // What is between begin and end is code that looks for such, or a certificate, which is public.
  /^-{5}BEGIN (?:A|CERTIFICATE)-{5}/,
  /^-{5}BEGIN PRIVATE KEY-{5}(?:', HIDDEN, HIDDEN, '|\\nMIIEvQIBADANBg\\n)-{5}END/,
];

const tracked = execFileSync('git', ['ls-files', '-z'], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
let found = 0;
for (const file of tracked.split('\0').filter((name) => name !== '')) {
  for (const { kind, line } of secretsIn(file)) {
    found += 1;
    process.stdout.write(`${file}:${line}: looks like a secret (${kind})\n`);
  }
}
if (found > 0) process.exit(1);

/** The value itself is not told: what is told ends up in a log. */
function secretsIn(file) {
  const bytes = readFileSync(file, { flag: 'r' });
  if (bytes.length > MAX_BYTES || bytes.includes(0)) return [];
  const text = bytes.toString('utf8');
  return SECRET_FORMS.flatMap(({ kind, expression }) =>
    [...text.matchAll(expression)]
      .filter(([value]) => !ALLOWED.some((allowed) => allowed.test(value)))
      .map(({ index }) => ({ kind, line: text.slice(0, index).split('\n').length })),
  );
}

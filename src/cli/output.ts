/** C1 control characters, which JSON leaves as they are and a terminal obeys. */
const UNESCAPED = /[\u007f-\u009f]/g;

/** A value for programs. */
export function printJson(value: unknown): void {
  console.log(escaped(JSON.stringify(value, null, 2)));
}

/** A value for programs that read line by line. */
export const jsonLine = (value: unknown): string => escaped(JSON.stringify(value));

const escaped = (json: string): string =>
  json.replace(UNESCAPED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** A line beside the output, which a program that reads the output does not get. */
export function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

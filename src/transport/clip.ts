/** At most `max` characters of a text that a caller chose; never half a character, which no transport can carry. */
export const clip = (text: string, max: number): string =>
  text.length <= max ? text : `${text.slice(0, max).toWellFormed()}…`;

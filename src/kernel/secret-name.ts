/** Is it a name that a stored secret can have? */
export const isSecretReference = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(text);

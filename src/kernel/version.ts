/** The version of this package, told to clients and in the log. */
export const VERSION = '0.1.0';

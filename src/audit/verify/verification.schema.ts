import { z } from 'zod';

const moment = z.iso.datetime({ offset: true, error: 'not a time such as 2030-01-31T12:00:00Z' }).max(40);

/** `POST /audit/verify`. */
export const verifySchema = z
  .strictObject({ from: moment.optional(), to: moment.optional() })
  .refine(({ from, to }) => from === undefined || to === undefined || Date.parse(from) < Date.parse(to), {
    path: ['to'],
    error: 'not after from',
  });
export type VerifyCommand = z.output<typeof verifySchema>;

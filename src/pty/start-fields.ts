/** Rules for what whoever starts a program may say of it, in a terminal of its own or as an agent. */
import { z } from 'zod';
import { isRefusedEnvironmentName } from '../kernel/environment.js';
import { MAX_COLS, MAX_ROWS } from '../kernel/terminal.js';

const MAX_VARIABLES = 256;

export const cols = z.int().min(1).max(MAX_COLS);
export const rows = z.int().min(1).max(MAX_ROWS);

export const noNul = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\0]*$/, 'contains a NUL');

export const plain = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^\P{Cc}+$/u, 'contains control characters');

/** Refuses by the count, before each entry is looked at: a request of nothing but mistakes must not cost more than others. */
const atMost = (max: number, what: string) =>
  z
    .unknown()
    .refine(
      (value) => typeof value !== 'object' || value === null || Object.keys(value).length <= max,
      `more than ${max} ${what}`,
    );

/** An argument vector, or a part of one; none when absent. */
export const argumentList = (max: number) =>
  atMost(max, 'arguments')
    .pipe(z.array(noNul(4096)))
    .default([]);

const environmentName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'not a variable name')
  .refine((name) => !isRefusedEnvironmentName(name), 'this variable may not be set');

export const environment = atMost(MAX_VARIABLES, 'variables')
  .pipe(z.record(environmentName, noNul(32_768)))
  .default({});

export const directory = noNul(4096).startsWith('/', 'not an absolute path');

/** What a caller names a request by, so that it can be repeated. */
export const requestId = z.string().regex(/^[A-Za-z0-9._-]{1,128}$/, '1 to 128 of A-Z a-z 0-9 . _ -');

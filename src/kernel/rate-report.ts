/** What a caller is told of the limit that is nearest. */
export interface RateReport {
  /** How many may come at once. */
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until as many as `limit` may come again. */
  readonly resetSeconds: number;
}

/** The report as headers of an HTTP answer. */
export const rateHeaders = ({ limit, remaining, resetSeconds }: RateReport): Record<string, string> => ({
  'X-RateLimit-Limit': String(limit),
  'X-RateLimit-Remaining': String(remaining),
  'X-RateLimit-Reset': String(resetSeconds),
});

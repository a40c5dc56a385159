import { Injectable } from '@nestjs/common';
import { Metrics } from '../kernel/metrics.js';
import { KeyVerifier } from './key-verifier.js';

/** What the checking of keys tells of itself in figures. */
@Injectable()
export class KeyMetrics {
  constructor(metrics: Metrics, { verdicts }: KeyVerifier) {
    const help = 'Texts of API keys that were checked, and by what.';
    metrics.count({ name: 'api_key_verifications_total', help }, verdicts);
  }
}

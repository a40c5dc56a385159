import { Global, Module } from '@nestjs/common';
import { Metrics } from '../kernel/metrics.js';
import { MetricsController } from './metrics.controller.js';
import { PrometheusMetrics } from './prometheus-metrics.js';

/** Figures for Prometheus. Every room tells its own, of which this one knows nothing. */
@Global()
@Module({
  controllers: [MetricsController],
  providers: [PrometheusMetrics, { provide: Metrics, useExisting: PrometheusMetrics }],
  exports: [Metrics],
})
export class MetricsModule {}

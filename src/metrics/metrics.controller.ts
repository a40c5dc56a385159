import { Controller, Get, Header, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { RequirePermission } from '../authorization/decorators.js';
import { PrometheusMetrics } from './prometheus-metrics.js';

/** For Prometheus, with a credential. */
@Controller('/metrics')
export class MetricsController {
  constructor(private readonly metrics: PrometheusMetrics) {}

  @Get()
  @RequirePermission('metrics:read')
  @Header('Cache-Control', 'no-store')
  read(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    void reply.header('Content-Type', this.metrics.contentType);
    return this.metrics.text();
  }
}

import { Module } from '@nestjs/common';
import { PtyModule } from '../pty/pty.module.js';
import { HealthController } from './health.controller.js';
import { HealthService } from './health.service.js';

@Module({ imports: [PtyModule], controllers: [HealthController], providers: [HealthService] })
export class HealthModule {}

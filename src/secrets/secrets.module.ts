import { Module } from '@nestjs/common';
import { SecretsController } from './secrets.controller.js';
import { SecretsService } from './secrets.service.js';

/** Stored secrets over REST. */
@Module({ controllers: [SecretsController], providers: [SecretsService] })
export class SecretsModule {}

import { Module } from '@nestjs/common';
import { AuditController } from './audit.controller.js';
import { AuditReading } from './audit-reading.service.js';
import { AuditSubjects } from './audit-subjects.service.js';
import { EventExports } from './event-export.js';
import { EventFeed } from './event-feed.js';
import { EventReader } from './event-reader.js';
import { EventStreams } from './event-streams.js';
import { ReadingWatch } from './reading-watch.js';
import { Subjects } from './subjects.js';

/** Reading the trail. Beside the room that writes it, because reading asks who may, and deciding that is on record. */
@Module({
  controllers: [AuditController],
  providers: [EventReader, EventExports, EventFeed, EventStreams, ReadingWatch, Subjects, AuditReading, AuditSubjects],
  exports: [EventStreams],
})
export class AuditReadModule {}

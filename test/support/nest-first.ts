// CommonJS packages that require Nest's ES modules need them loaded first. For tests that import source with Nest in it,
// and only for them: it takes a second of each.
import 'reflect-metadata';
import '@nestjs/common';
import '@nestjs/core';
import '@nestjs/microservices';
import '@nestjs/websockets';

// CommonJS packages that require Nest's ES modules need them loaded first.
import 'reflect-metadata';
import '@nestjs/common';
import '@nestjs/core';
import '@nestjs/microservices';
import '@nestjs/websockets';

import { type DynamicModule, Global, Module } from '@nestjs/common';
import { ApiKeysModule } from '../api-keys/api-keys.module.js';
import { Authenticator } from '../kernel/authenticator.js';
import { AuthenticationGuard } from './authentication.guard.js';
import { CredentialAuthenticator } from './credential-authenticator.js';
import { JwtStrategy } from './jwt.strategy.js';
import { SIGNING_SECRETS, type SigningSecrets } from './signing-secrets.js';

@Global()
@Module({
  imports: [ApiKeysModule],
  providers: [JwtStrategy, AuthenticationGuard, { provide: Authenticator, useClass: CredentialAuthenticator }],
  exports: [Authenticator, AuthenticationGuard],
})
export class AuthModule {
  static with(secrets: SigningSecrets): DynamicModule {
    return { module: AuthModule, providers: [{ provide: SIGNING_SECRETS, useValue: secrets }] };
  }
}

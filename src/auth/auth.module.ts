import { Global, Module } from '@nestjs/common';
import { ApiKeysModule } from '../api-keys/api-keys.module.js';
import { CONFIG, type Config } from '../config/load.js';
import { Authenticator } from '../kernel/authenticator.js';
import { AuthenticationGuard } from './authentication.guard.js';
import { CredentialAuthenticator } from './credential-authenticator.js';
import { JwtStrategy } from './jwt.strategy.js';
import { SIGNING_SECRETS, signingSecrets } from './signing-secrets.js';

@Global()
@Module({
  imports: [ApiKeysModule],
  providers: [
    { provide: SIGNING_SECRETS, inject: [CONFIG], useFactory: (config: Config) => signingSecrets(config) },
    JwtStrategy,
    AuthenticationGuard,
    { provide: Authenticator, useClass: CredentialAuthenticator },
  ],
  exports: [Authenticator, AuthenticationGuard],
})
export class AuthModule {}

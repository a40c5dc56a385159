import { type DynamicModule, Global, Module } from '@nestjs/common';
import { ApiKeysModule } from '../api-keys/api-keys.module.js';
import { KEY_VERIFIER_SECRETS, verifierKeys } from '../api-keys/keyed-verifier.js';
import { CredentialCheck } from '../kernel/authenticator.js';
import { AuthController } from './auth.controller.js';
import { AuthService } from './auth.service.js';
import { AuthenticationGuard } from './authentication.guard.js';
import { CredentialAuthenticator } from './credential-authenticator.js';
import { CredentialSweep } from './credential-sweep.js';
import { AUTH_FILE, type AuthFile, IdentityProviders } from './providers/identity-providers.js';
import { Revocations } from './revocations.js';
import { SIGNING_SECRETS, type SigningSecrets } from './signing-secrets.js';
import { Tickets } from './tickets.js';
import { TokenIssuer } from './token-issuer.js';
import { TokenVerifier } from './tokens/token-verifier.js';
import { UsedTokens } from './used-tokens.js';

@Global()
@Module({
  imports: [ApiKeysModule],
  controllers: [AuthController],
  providers: [
    ...[AuthService, TokenIssuer, Tickets, Revocations, UsedTokens, CredentialSweep],
    ...[TokenVerifier, AuthenticationGuard],
    { provide: CredentialCheck, useClass: CredentialAuthenticator },
  ],
  exports: [CredentialCheck, AuthenticationGuard, KEY_VERIFIER_SECRETS],
})
export class AuthModule {
  /** @param file auth.yaml, opened and right */
  static with(secrets: SigningSecrets, file: AuthFile): DynamicModule {
    const given = [
      { provide: SIGNING_SECRETS, useValue: secrets },
      { provide: AUTH_FILE, useValue: file },
      { provide: KEY_VERIFIER_SECRETS, useValue: verifierKeys(secrets) },
    ];
    return { module: AuthModule, providers: [...given, IdentityProviders] };
  }
}

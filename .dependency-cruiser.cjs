/** The import rules of docs/architecture.md, checked by `npm run check`. */
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'kernel-is-plain',
      comment: 'The kernel is plain TypeScript: no Nest, no other room.',
      severity: 'error',
      from: { path: '^src/kernel/' },
      to: { pathNot: ['^src/kernel/', '^(node:)?[a-z_/]+$'], dependencyTypesNot: ['core'] },
    },
    {
      name: 'runner-stands-alone',
      comment: 'The runner imports nothing of the gateway but the kernel and the generated link types.',
      severity: 'error',
      from: { path: '^src/runner/' },
      to: { path: '^src/(?!runner/|kernel/|generated/)' },
    },
    {
      name: 'runner-starts-children-in-one-place',
      comment:
        'child.ts keeps the terminals of sessions from what it starts. The two programs of agents run in a terminal of ' +
        'their own, in processes of their own, and have no other.',
      severity: 'error',
      from: { path: '^src/runner/', pathNot: '^src/runner/(child|agent/(acp|stdin)-main)\\.ts$' },
      to: { path: '^(node:)?(child_process|cluster)$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'gateway-not-into-runner',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/runner/' },
      to: { path: '^src/runner/' },
    },
    {
      name: 'cli-stands-alone',
      comment:
        'The command line is a client: the client library and the kernel only, and what `operator/` offers, which it ' +
        'loads when it is asked for.',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: { path: '^src/(?!cli/|client/|kernel/|operator/index\\.ts)' },
    },
    {
      name: 'operator-is-for-the-command-line',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(cli|operator)/' },
      to: { path: '^src/operator/' },
    },
    {
      name: 'client-stands-alone',
      comment:
        'The client library runs in browsers, as it is: it imports nothing outside itself, no package and no Node.',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { pathNot: '^src/client/' },
    },
    {
      name: 'server-is-no-client',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(client|cli)/' },
      to: { path: '^src/client/' },
    },
    {
      name: 'config-stands-alone',
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: '^src/(?!config/|kernel/)' },
    },
    {
      name: 'database-knows-entities',
      comment: 'Of a feature it knows the shape of its rows.',
      severity: 'error',
      from: { path: '^src/database/' },
      to: { path: '^src/(?!database/|config/|kernel/)', pathNot: '\\.entity\\.ts$' },
    },
    {
      name: 'sealing-knows-no-feature',
      severity: 'error',
      from: { path: '^src/sealing/' },
      to: { path: '^src/(?!sealing/|config/|kernel/|database/)' },
    },
    {
      name: 'transport-imports-no-feature',
      severity: 'error',
      from: { path: '^src/transport/' },
      to: { path: '^src/(?!transport/|config/|kernel/|database/errors\\.ts)' },
    },
    {
      name: 'runner-link-imports-no-feature',
      severity: 'error',
      from: { path: '^src/runner-link/' },
      to: { path: '^src/(?!runner-link/|config/|kernel/|generated/)' },
    },
    {
      name: 'features-never-import-auth',
      comment: 'The global guard reads their decorators; they never reach for authentication.',
      severity: 'error',
      from: {
        path: '^src/(agent|api-keys|audit|health|metrics|pty|rate-limit|runner-link|authorization|sealing|secrets|worktree)/',
      },
      to: { path: '^src/auth/' },
    },
    {
      name: 'rate-limit-imports-no-feature',
      comment: 'Limits know callers and addresses; features say which of their calls are expensive.',
      severity: 'error',
      from: { path: '^src/rate-limit/' },
      to: { path: '^src/(?!rate-limit/|config/|kernel/|transport/execution-context\\.ts)' },
    },
    {
      name: 'authorization-imports-no-feature',
      comment: 'Features register their ownership resolver instead.',
      severity: 'error',
      from: { path: '^src/authorization/' },
      to: {
        path: '^src/(agent|pty|api-keys|audit|health|metrics|rate-limit|runner-link|auth|sealing|secrets|worktree)/',
      },
    },
    {
      name: 'services-know-no-edge',
      comment: 'Imports point inward: edges to services to the kernel.',
      severity: 'error',
      from: { path: '\\.service\\.ts$' },
      to: { path: '\\.(controller|grpc|gateway)\\.ts$' },
    },
    {
      name: 'services-know-no-transport',
      comment:
        'Services, stores and what authenticates or records know no kind of transport; guards, interceptors and ' +
        'controllers are edges. The mapping of thrown values, which needs a Nest type, is the one exception.',
      severity: 'error',
      from: {
        path: '\\.service\\.ts$|^src/(api-keys|audit|auth|authorization|database|rate-limit|runner-link|sealing|secrets)/|^src/pty/session-',
        pathNot: '\\.(guard|interceptor|controller)\\.ts$',
      },
      to: { path: '^src/transport/', pathNot: '^src/transport/error-mapping\\.ts$' },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: ['^src/generated/', '^src/(main|cli/main|runner/main)\\.ts$'] },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^src/generated/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
  },
};

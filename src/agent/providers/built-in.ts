import { DEFAULTS, type Provider } from './provider.schema.js';

type Stated = Partial<Provider> & Pick<Provider, 'name' | 'binary'>;

const stated = (provider: Stated): Provider => ({ ...DEFAULTS, ...provider });

/** It needs no telling. */
const NOTHING = { args: [], env: {} };

/** What many of them show before they do something. */
const ASKS = [
  'Do you want to',
  'Allow (?:command|tool|execution|once)',
  'Yes, (?:allow|and|proceed|continue)',
  '\\(y/n\\)',
];
const NO_LOGIN = [
  '[Ss]ign in',
  '[Ll]og ?in (?:to|with|method)',
  'API key (?:is )?(?:missing|required|not set)',
  '[Nn]ot logged in',
];
const screen = (more: Partial<Provider['screen']> = {}): Provider['screen'] => ({
  ready: [],
  waiting: ASKS,
  login: NO_LOGIN,
  ...more,
});

/**
 * The providers that there are without agents.yaml: facts about their command lines, as data. A prompt is typed in where that
 * works, since an argument can be read by everybody on the machine.
 */
export const BUILT_IN: Readonly<Record<string, Provider>> = {
  claude: stated({
    name: 'Claude Code',
    binary: 'claude',
    model: { args: ['--model', '{model}'], env: {} },
    // Said, since its own default may be to decide by itself.
    ask: { args: ['--permission-mode', 'default'], env: {} },
    auto: { args: ['--dangerously-skip-permissions'], env: {} },
    session_args: ['--session-id', '{session}'],
    resume_args: ['--resume', '{session}'],
    hooks: 'claude',
    screen: screen({ ready: ['\\? for shortcuts', 'Try "'], login: ['Select login method', 'Please run /login'] }),
  }),
  codex: stated({
    name: 'Codex',
    binary: 'codex',
    model: { args: ['--model', '{model}'], env: {} },
    auto: { args: ['--dangerously-bypass-approvals-and-sandbox'], env: {} },
    resume_args: ['resume', '{session}'],
    hooks: 'notify',
    screen: screen({ ready: ['\\? for shortcuts', 'context left'], login: ['Sign in with ChatGPT'] }),
  }),
  gemini: stated({
    name: 'Gemini CLI',
    binary: 'gemini',
    model: { args: ['--model', '{model}'], env: {} },
    auto: { args: ['--approval-mode', 'yolo'], env: {} },
    resume_args: ['--resume', 'latest'],
    screen: screen({ ready: ['Type your message'], login: ['How would you like to authenticate'] }),
  }),
  opencode: stated({
    name: 'opencode',
    binary: 'opencode',
    model: { args: ['--model', '{model}'], env: {} },
    // It asks about what is configured to be asked about, which by itself is nearly nothing.
    ask: { args: [], env: { OPENCODE_CONFIG_CONTENT: '{"permission":{"*":"ask"}}' } },
    auto: { args: ['--auto'], env: {} },
    resume_args: ['--continue'],
    screen: screen({ ready: ['Ask anything'], waiting: [...ASKS, 'Permission required'] }),
  }),
  'cursor-agent': stated({
    name: 'Cursor Agent',
    binary: 'cursor-agent',
    model: { args: ['--model', '{model}'], env: {} },
    auto: { args: ['--force'], env: {} },
    resume_args: ['resume'],
    screen: screen(),
  }),
  copilot: stated({
    name: 'GitHub Copilot CLI',
    binary: 'copilot',
    model: { args: ['--model', '{model}'], env: {} },
    auto: { args: ['--allow-all'], env: {} },
    session_args: ['--session-id', '{session}'],
    resume_args: ['--resume={session}'],
    screen: screen(),
  }),
  qwen: stated({
    name: 'Qwen Code',
    binary: 'qwen',
    model: { args: ['--model', '{model}'], env: {} },
    auto: { args: ['--approval-mode', 'yolo'], env: {} },
    session_args: ['--session-id', '{session}'],
    resume_args: ['--resume', '{session}'],
    screen: screen({ ready: ['Type your message'] }),
  }),
  amp: stated({ name: 'Amp', binary: 'amp', asks: false, auto: NOTHING, screen: screen() }),
  goose: stated({
    name: 'goose',
    binary: 'goose',
    args: ['session'],
    model: { args: [], env: { GOOSE_MODEL: '{model}' } },
    // Left to itself it permits itself everything.
    ask: { args: [], env: { GOOSE_MODE: 'approve' } },
    env: ['GOOSE_PROVIDER'],
    auto: { args: [], env: { GOOSE_MODE: 'auto' } },
    resume_args: ['--resume'],
    screen: screen(),
  }),
  droid: stated({ name: 'Droid', binary: 'droid', resume_args: ['--resume', '{session}'], screen: screen() }),
  kiro: stated({
    name: 'Kiro CLI',
    binary: 'kiro-cli',
    args: ['chat'],
    model: { args: ['--model', '{model}'], env: {} },
    auto: { args: ['--trust-all-tools'], env: {} },
    resume_args: ['--resume'],
    screen: screen(),
  }),
  cline: stated({
    name: 'Cline',
    binary: 'cline',
    args: ['--tui'],
    // Left to itself it permits itself everything.
    ask: { args: ['--auto-approve', 'false'], env: {} },
    model: { args: ['--model', '{model}'], env: {} },
    auto: { args: ['--auto-approve', 'true'], env: {} },
    resume_args: ['--id', '{session}'],
    screen: screen(),
  }),
  aider: stated({
    name: 'aider',
    binary: 'aider',
    args: ['--no-check-update'],
    model: { args: ['--model', '{model}'], env: {} },
    auto: { args: ['--yes-always'], env: {} },
    resume_args: ['--restore-chat-history'],
    keys: { ...DEFAULTS.keys, approve: 'y\r', deny: 'n\r' },
    screen: screen({ ready: ['^(?:\\w+ )?> ?$'], waiting: [...ASKS, '\\(Y\\)es/\\(N\\)o'] }),
  }),
  crush: stated({ name: 'Crush', binary: 'crush', auto: { args: ['--yolo'], env: {} }, screen: screen() }),
  auggie: stated({
    name: 'Auggie',
    binary: 'auggie',
    asks: false,
    auto: NOTHING,
    model: { args: ['--model', '{model}'], env: {} },
    resume_args: ['--continue'],
    screen: screen(),
  }),
};

/** The provider of programs that the operator permits by name, and of which nothing is known. */
export const CUSTOM = 'custom';
export const customProvider = (binary: string): Provider =>
  stated({ name: 'Custom', binary, asks: false, auto: NOTHING });

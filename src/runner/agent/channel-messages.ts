/** What our programs beside an agent tell the runner, and are told, over the agent's own socket: one JSON text a line. */
import { z } from 'zod';

/** The environment variables by which they find the socket and prove whose they are. */
export const CHANNEL_SOCKET = 'GATEHOUSE_AGENT_SOCKET';
export const CHANNEL_TOKEN = 'GATEHOUSE_AGENT_TOKEN';

/** One line to the runner at most. */
export const MAX_LINE_BYTES = 64 * 1024;
/** What of a question, and of an id, is passed on. */
export const MAX_TOLD_TEXT = 4096;
export const MAX_TOLD_ID = 256;
export const MAX_TOLD_OPTIONS = 16;
/** Lines of what a tool was given, and characters of each. */
export const MAX_SIGNS = 16;
export const MAX_SIGN = 80;
/** Prompts told to the client of an ACP agent that wait while the agent works. */
export const MAX_TOLD_PROMPTS = 16;

const text = z.string().max(MAX_TOLD_TEXT);
const id = z
  .string()
  .regex(/^[\x21-\x7e]*$/)
  .max(MAX_TOLD_ID);

/** The first line of every connection. */
export const hello = z.strictObject({ token: z.string().max(128) });

const hook = z.strictObject({
  type: z.literal('hook'),
  /** Whose words these are. */
  of: z.enum(['claude', 'notify']),
  event: z.string().max(64),
  /** The provider's id of the conversation; one without its shape is as good as none. */
  conversation: z.string().max(MAX_TOLD_ID).optional(),
  /** Which kind of notification, tool or error it is about. */
  about: z.string().max(128).optional(),
  /** A hash of what the tool was given, where it is about one. */
  input: z.string().max(64).optional(),
  /** Lines of what the tool was given, by which its dialog can be told from another one. */
  signs: z.array(z.string().max(MAX_SIGN)).max(MAX_SIGNS).optional(),
  text: text.optional(),
});

const acpOption = z.strictObject({ id, label: z.string().max(256), kind: z.enum(['allow', 'deny', 'other']) });

const acp = [
  z.strictObject({ type: z.literal('acp_working') }),
  z.strictObject({ type: z.literal('acp_input') }),
  /** One of the prompts that it was told waits no more. */
  z.strictObject({ type: z.literal('acp_taken') }),
  z.strictObject({ type: z.literal('acp_login'), text }),
  z.strictObject({ type: z.literal('acp_conversation'), id: z.string().max(MAX_TOLD_ID) }),
  z.strictObject({
    type: z.literal('acp_permission'),
    /** Names it in the answer. */
    request: z.int().min(0),
    text,
    options: z.array(acpOption).max(MAX_TOLD_OPTIONS),
  }),
] as const;

/** Every line after that. */
export const fromAgent = z.discriminatedUnion('type', [hook, ...acp]);
export type FromAgent = z.infer<typeof fromAgent>;
export type HookMessage = z.infer<typeof hook>;

/** Who speaks on a socket: hooks of one program, or the client of an agent that speaks ACP. */
export type ChannelKind = HookMessage['of'] | 'acp';

/** Is that one of the messages that such a socket is for? */
export function isOfKind(message: FromAgent, kind: ChannelKind): boolean {
  return kind === (message.type === 'hook' ? message.of : 'acp');
}

/** What the client of an ACP agent is told. */
export const toAgent = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('prompt'), text: z.string() }),
  z.strictObject({ type: z.literal('answer'), request: z.int(), option: z.string() }),
]);
export type ToAgent = z.infer<typeof toAgent>;

import type { AttachResponse } from '../generated/gatehouse/pty/v1/AttachResponse.js';
import type { _gatehouse_pty_v1_AttachResponse_Participant as ProtoParticipant } from '../generated/gatehouse/pty/v1/AttachResponse.js';
import type { AttachMode, LinkAttached, Participant, ProcessExited } from '../kernel/link.js';
import type { LinkListener } from '../runner-link/byte-link.js';

type LinkControl = Parameters<LinkListener['onControl']>[0];

const MODES = { controller: 'ATTACH_MODE_CONTROLLER', viewer: 'ATTACH_MODE_VIEWER' } as const satisfies Record<
  AttachMode,
  string
>;

/** The answer to `attach`, without the link's own envelope. */
export function attachedToProto(attached: LinkAttached): AttachResponse {
  const { session, epoch, attachment, mode, from, snapshot, dropped_before, cols, rows, input_next } = attached;
  return {
    attached: {
      ...{ session, epoch, attachment, from, snapshot, dropped_before, cols, rows, input_next },
      mode: MODES[mode],
    },
  };
}

/** How a process ended, without what is not known of it. */
export const exitedToProto = ({ exit_code, signal, reason }: ProcessExited) => present({ exit_code, signal, reason });

/** What the runner says of an attachment as a frame of the stream: null is absent. */
export function controlToProto(message: LinkControl): AttachResponse {
  switch (message.type) {
    case 'process_started':
      return { process_started: { pid: message.pid } };
    case 'process_exited':
      return { process_exited: exitedToProto(message) };
    case 'mode_changed':
      return { mode_changed: { mode: MODES[message.mode], reason: message.reason } };
    case 'input_ack':
      return { input_ack: { input_next: message.input_next } };
    case 'participants':
      return {
        participants: { participants: message.participants.map(participantToProto), total: message.total },
      };
    case 'flow_control':
      return { flow_control: { action: message.action, reason: message.reason } };
    case 'detached':
      return { detached: { code: message.code, offset: message.offset } };
    case 'error': {
      const { code, message: text, input_next = null } = message;
      return { error: present({ code, message: text, input_next }) };
    }
  }
}

const participantToProto = ({ mode, ...same }: Participant): ProtoParticipant => ({
  ...present(same),
  mode: MODES[mode],
});

type Present<T> = { [K in keyof T]?: Exclude<T[K], null> };

/** Without the members that are null. */
function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null)) as Present<T>;
}

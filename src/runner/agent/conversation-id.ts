/**
 * The shape of an id of a conversation. It becomes an argument of the program that takes the conversation up, so one that
 * could be taken for an option is none, whoever tells it.
 */
const SHAPE = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** Can that be the provider's id of a conversation? */
export function isConversationId(id: string): boolean {
  return SHAPE.test(id);
}

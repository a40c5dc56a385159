const FRAME_HEADER = 9;
const [SETTINGS, GOAWAY] = [0x4, 0x7];
/** RFC 9113: "the underlying transport has properties that do not meet minimum security requirements". */
const INADEQUATE_SECURITY = 0xc;

/** The whole of what a server of HTTP/2 says to somebody whom it does not serve. @param why plain ASCII, for people */
export function goAway(why: string): Buffer {
  const payload = Buffer.alloc(8 + why.length);
  // No stream was looked at: the last one is 0.
  payload.writeUInt32BE(INADEQUATE_SECURITY, 4);
  payload.write(why, 8, 'latin1');
  return Buffer.concat([frame(SETTINGS, Buffer.alloc(0)), frame(GOAWAY, payload)]);
}

function frame(type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  return Buffer.concat([header, payload]);
}

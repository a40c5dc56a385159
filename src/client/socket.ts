/** What is needed of a WebSocket: the browser's own, Node's, and that of the package `ws` have it. */
export interface ClientSocket {
  binaryType: string;
  /** The subprotocol that the server chose. */
  readonly protocol: string;
  /** 1 while it is open. */
  readonly readyState: number;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
  /** Ends it without waiting for the other side, where that can be had. */
  terminate?(): void;
  addEventListener(type: 'open' | 'error', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

/** What a socket may tell beside the events of a browser's; all of it may be left out. */
export interface SocketEvents {
  /** The server showed a sign of life that is no message, such as a ping. */
  readonly alive: () => void;
  /** The upgrade was refused. @param body of the answer */
  readonly refused: (status: number, body: string) => void;
}

/** Opens a socket. One that puts the credential into a header makes `credential` needless. */
export type OpenSocket = (address: string, protocols: string[], events: SocketEvents) => ClientSocket;

/** The global WebSocket, of browsers and Node. */
export const openGlobalSocket: OpenSocket = (address, protocols) => new WebSocket(address, protocols);

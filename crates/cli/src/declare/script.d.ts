/** An object of a tool. It can be passed as an argument, and narrowed. */
interface RemitObject {
  /** A weaker reference to the same object: caveats by name, or in the text form of grants. */
  attenuate(caveats: string | { [name: string]: unknown }): Called<this>;
  /** The same, with budgets that are reserved at once. */
  split(caveats: string | { [name: string]: unknown }): Called<this>;
}

/** What a call that returns an object gives: the next call can be made without awaiting it. */
type Called<T> = Promise<T> & T;

/** The error that a failed call throws. */
interface RemitError extends Error {
  readonly code:
    | "denied" | "revoked" | "not-found" | "invalid-argument" | "failed" | "unavailable"
    | "timed-out" | "cancelled" | "unknown" | "limit" | "object-lost" | "interface-changed";
  readonly grant?: string;
  readonly method?: string;
  readonly detail?: string;
  readonly caveat?: string;
}

interface RemitOwn {
  /** A durable timer. */
  sleep(ms: number): Promise<void>;
  /** The next input that was sent to the task. */
  input(): Promise<unknown>;
  /** All inputs, one after the other. */
  inputs(): AsyncIterableIterator<unknown>;
  /** All steers since the last such call. */
  steers(options?: { wait?: boolean }): Promise<unknown[]>;
  /** Asks a person for a capability of a tool. */
  request(options: { tool: string; reason: string }): Called<any>;
  /** Milliseconds since 1970, at the last event that the script was given. */
  now(): number;
  /** From 0 up to 1, from the task's seed. */
  random(): number;
}

declare const console: {
  debug(...values: unknown[]): void;
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
  trace(...values: unknown[]): void;
};
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T): T;
declare function atob(text: string): string;
declare function btoa(text: string): string;
declare const crypto: {
  randomUUID(): string;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
};
declare class TextEncoder {
  encode(text?: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
}
declare class URLSearchParams {
  constructor(init?: string | string[][] | { [name: string]: string } | URLSearchParams);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  toString(): string;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}
declare class URL {
  constructor(url: string | URL, base?: string | URL);
  hash: string;
  host: string;
  hostname: string;
  href: string;
  readonly origin: string;
  password: string;
  pathname: string;
  port: string;
  protocol: string;
  search: string;
  readonly searchParams: URLSearchParams;
  username: string;
  toString(): string;
  toJSON(): string;
}

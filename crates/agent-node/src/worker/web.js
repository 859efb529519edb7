// The interfaces that scripts of the web and of Node.js expect. Evaluated when a script first uses
// one of them, in the script's own realm. Nothing here reaches out of the realm, and randomness
// comes from the task's seed, so that a replay repeats it.
(function (host) {
  "use strict";
  const { defineProperty } = Object;

  // The bytes behind a buffer or a view of one.
  const bytesOf = (value, taker) => {
    if (value === undefined) return new Uint8Array(0);
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    throw new TypeError(`${taker} takes bytes: an ArrayBuffer or a view of one`);
  };

  class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = "") { return host.encode(String(text)); }
    encodeInto(text, into) {
      let read = 0, written = 0;
      for (const character of String(text)) {
        const bytes = host.encode(character);
        if (written + bytes.length > into.length) break;
        into.set(bytes, written);
        read += character.length;
        written += bytes.length;
      }
      return { read, written };
    }
  }

  class TextDecoder {
    #encoding; #decode; #fatal; #ignoreBOM;
    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
      const found = host.decoder(String(label), Boolean(ignoreBOM));
      if (found === undefined) throw new RangeError(`the encoding ${label} is not known`);
      [this.#encoding, this.#decode] = found;
      this.#fatal = Boolean(fatal);
      this.#ignoreBOM = Boolean(ignoreBOM);
    }
    get encoding() { return this.#encoding; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBOM; }
    decode(input, { stream = false } = {}) {
      const decode = this.#decode;
      const text = decode(bytesOf(input, "TextDecoder.decode"), this.#fatal, !stream);
      if (text === undefined) throw new TypeError(`the bytes are no ${this.#encoding}`);
      return text;
    }
  }

  class URLSearchParams {
    #pairs = [];
    #changed;
    constructor(init = "", changed) {
      this.#changed = typeof changed === "function" ? changed : undefined;
      if (typeof init === "object" && init !== null) {
        const pairs = typeof init[Symbol.iterator] === "function" ? [...init] : Object.entries(init);
        for (const pair of pairs) {
          const [name, value, ...more] = pair;
          if (value === undefined || more.length > 0) throw new TypeError("a pair of a query is a name and a value");
          this.#pairs.push([String(name), String(value)]);
        }
      } else {
        this.#read(String(init));
      }
    }
    #read(text) {
      const flat = host.parseQuery(text.startsWith("?") ? text.slice(1) : text);
      this.#pairs = [];
      for (let at = 0; at < flat.length; at += 2) this.#pairs.push([flat[at], flat[at + 1]]);
    }
    #write() { this.#changed?.(this.toString()); }
    get size() { return this.#pairs.length; }
    append(name, value) { this.#pairs.push([String(name), String(value)]); this.#write(); }
    delete(name, value) {
      const gone = ([n, v]) => n === String(name) && (value === undefined || v === String(value));
      this.#pairs = this.#pairs.filter((pair) => !gone(pair));
      this.#write();
    }
    get(name) { return this.#pairs.find(([n]) => n === String(name))?.[1] ?? null; }
    getAll(name) { return this.#pairs.filter(([n]) => n === String(name)).map(([, value]) => value); }
    has(name, value) { return this.#pairs.some(([n, v]) => n === String(name) && (value === undefined || v === String(value))); }
    set(name, value) {
      const first = this.#pairs.findIndex(([n]) => n === String(name));
      if (first < 0) {
        this.#pairs.push([String(name), String(value)]);
      } else {
        this.#pairs = this.#pairs.filter(([n], at) => n !== String(name) || at === first);
        this.#pairs[first] = [String(name), String(value)];
      }
      this.#write();
    }
    sort() { this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); this.#write(); }
    forEach(visit, self) { for (const [name, value] of this) visit.call(self, value, name, this); }
    *entries() { for (const [name, value] of this.#pairs) yield [name, value]; }
    *keys() { for (const [name] of this.#pairs) yield name; }
    *values() { for (const [, value] of this.#pairs) yield value; }
    [Symbol.iterator]() { return this.entries(); }
    toString() { return host.writeQuery(this.#pairs.flat()); }
    // Called when the query of the address was replaced.
    static replace(params, text) { params.#read(text); }
  }
  const replaceQuery = URLSearchParams.replace;
  delete URLSearchParams.replace;

  const partNames = ["origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
  const parsed = (address, base) => host.parseUrl(String(address), base === undefined ? undefined : String(base));

  class URL {
    #href; #parts; #params;
    constructor(address, base) {
      this.#href = parsed(address, base);
      if (this.#href === undefined) throw new TypeError(`${address} is no address${base === undefined ? "" : ` seen from ${base}`}`);
    }
    static canParse(address, base) { return parsed(address, base) !== undefined; }
    static parse(address, base) { return URL.canParse(address, base) ? new URL(address, base) : null; }
    get href() { return this.#href; }
    set href(address) {
      const href = parsed(address);
      if (href === undefined) throw new TypeError(`${address} is no address`);
      this.#become(href);
    }
    get searchParams() {
      this.#params ??= new URLSearchParams(this.search, (query) => {
        this.#href = host.setUrlPart(this.#href, "search", query);
        this.#parts = undefined;
      });
      return this.#params;
    }
    toString() { return this.#href; }
    toJSON() { return this.#href; }
    #become(href) {
      this.#href = href;
      this.#parts = undefined;
      if (this.#params !== undefined) replaceQuery(this.#params, this.search);
    }
    static part(at) {
      const name = partNames[at];
      defineProperty(URL.prototype, name, {
        enumerable: true,
        configurable: true,
        get() { return (this.#parts ??= host.urlParts(this.#href))[at]; },
        set: at === 0 ? undefined : function (value) { this.#become(host.setUrlPart(this.#href, name, String(value))); },
      });
    }
  }
  partNames.forEach((_, at) => URL.part(at));
  delete URL.part;

  class Event {
    #type; #target = null; #prevented = false; #stopped = false; #cancelable;
    constructor(type, { cancelable = false } = {}) {
      this.#type = String(type);
      this.#cancelable = Boolean(cancelable);
    }
    get type() { return this.#type; }
    get target() { return this.#target; }
    get currentTarget() { return this.#target; }
    get cancelable() { return this.#cancelable; }
    get defaultPrevented() { return this.#prevented; }
    preventDefault() { if (this.#cancelable) this.#prevented = true; }
    stopPropagation() {}
    stopImmediatePropagation() { this.#stopped = true; }
    static send(event, target, listeners) {
      event.#target = target;
      for (const listener of listeners) {
        if (event.#stopped) break;
        listener(event);
      }
      return !event.#prevented;
    }
  }
  const sendEvent = Event.send;
  delete Event.send;

  class EventTarget {
    #listeners = [];
    addEventListener(type, listener, options = {}) {
      if (listener === null || listener === undefined) return;
      const same = (other) => other.type === String(type) && other.listener === listener;
      if (this.#listeners.some(same)) return;
      const once = typeof options === "object" && options !== null && Boolean(options.once);
      this.#listeners.push({ type: String(type), listener, once });
      options?.signal?.addEventListener("abort", () => this.removeEventListener(type, listener));
    }
    removeEventListener(type, listener) {
      this.#listeners = this.#listeners.filter((other) => other.type !== String(type) || other.listener !== listener);
    }
    dispatchEvent(event) {
      const called = this.#listeners.filter(({ type }) => type === event.type);
      return sendEvent(event, this, called.map(({ type, listener, once }) => (event) => {
        if (once) this.removeEventListener(type, listener);
        // An error of one listener fails the task, but the other listeners are still called.
        try {
          typeof listener === "function" ? listener.call(this, event) : listener.handleEvent(event);
        } catch (error) { Promise.reject(error); }
      }));
    }
  }

  const make = Symbol("make");
  class AbortSignal extends EventTarget {
    #aborted = false; #reason;
    onabort = null;
    constructor(key) {
      super();
      if (key !== make) throw new TypeError("an AbortSignal is made by an AbortController");
    }
    get aborted() { return this.#aborted; }
    get reason() { return this.#reason; }
    throwIfAborted() { if (this.#aborted) throw this.#reason; }
    static abort(reason) { const signal = new AbortSignal(make); endSignal(signal, reason); return signal; }
    static any(signals) {
      const signal = new AbortSignal(make);
      for (const one of signals) {
        if (one.aborted) { endSignal(signal, one.reason); break; }
        one.addEventListener("abort", () => endSignal(signal, one.reason), { once: true });
      }
      return signal;
    }
    static timeout() { throw new TypeError("there are no timers: race the work with `remit.sleep(ms)`"); }
    static end(signal, reason) {
      if (signal.#aborted) return;
      signal.#aborted = true;
      signal.#reason = reason === undefined ? new DOMException("the work was aborted", "AbortError") : reason;
      const event = new Event("abort");
      if (typeof signal.onabort === "function") signal.onabort(event);
      signal.dispatchEvent(event);
    }
  }
  const endSignal = AbortSignal.end;
  delete AbortSignal.end;

  class AbortController {
    #signal = new AbortSignal(make);
    get signal() { return this.#signal; }
    abort(reason) { endSignal(this.#signal, reason); }
  }

  const cannot = (what) => new DOMException(`${what} cannot be cloned`, "DataCloneError");
  const views = [
    Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
    BigInt64Array, BigUint64Array, Float32Array, Float64Array,
  ];
  const errors = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
  const clone = (value, seen) => {
    if (typeof value === "symbol" || typeof value === "function") throw cannot(`a ${typeof value}`);
    if (typeof value !== "object" || value === null) return value;
    const known = seen.get(value);
    if (known !== undefined) return known;
    const keep = (made) => { seen.set(value, made); return made; };
    if (value instanceof Date) return keep(new Date(value.getTime()));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof Boolean || value instanceof Number || value instanceof String || value instanceof BigInt) {
      return keep(Object(value.valueOf()));
    }
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (ArrayBuffer.isView(value)) {
      const kind = value instanceof DataView ? DataView : views.find((kind) => value instanceof kind);
      if (kind === undefined) throw cannot("this view of bytes");
      return keep(new kind(clone(value.buffer, seen), value.byteOffset, kind === DataView ? value.byteLength : value.length));
    }
    if (value instanceof Map) {
      const made = keep(new Map());
      for (const [key, item] of [...value]) made.set(clone(key, seen), clone(item, seen));
      return made;
    }
    if (value instanceof Set) {
      const made = keep(new Set());
      for (const item of [...value]) made.add(clone(item, seen));
      return made;
    }
    if (value instanceof Error) {
      const kind = errors.find((kind) => value.name === kind.name) ?? Error;
      const made = keep(new kind(String(value.message)));
      for (const name of ["stack", "cause"]) {
        if (Object.hasOwn(value, name)) {
          defineProperty(made, name, { value: clone(value[name], seen), writable: true, configurable: true });
        }
      }
      return made;
    }
    const list = Array.isArray(value);
    if (!list && host.isHeld(value)) throw cannot("an object of remit");
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) throw cannot("this object");
    const made = keep(list ? new Array(value.length) : {});
    for (const name of Object.keys(value)) {
      defineProperty(made, name, { value: clone(value[name], seen), writable: true, enumerable: true, configurable: true });
    }
    return made;
  };

  const crypto = Object.freeze({
    getRandomValues(into) {
      const kind = views.find((kind) => into instanceof kind);
      if (kind === undefined || kind === Float32Array || kind === Float64Array) {
        throw new DOMException("getRandomValues takes an array of whole numbers", "TypeMismatchError");
      }
      if (into.byteLength > 65536) throw new DOMException("getRandomValues gives at most 65536 bytes at once", "QuotaExceededError");
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(host.random(into.byteLength));
      return into;
    },
    randomUUID() {
      const bytes = host.random(16);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
    },
  });

  return {
    __proto__: null,
    TextEncoder, TextDecoder, URL, URLSearchParams, Event, EventTarget, AbortSignal, AbortController, crypto,
    structuredClone: (value) => clone(value, new Map()),
  };
})

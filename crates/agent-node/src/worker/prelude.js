// The world of a script: `remit`, a console, and a clock and randomness that replay.
// Runs before the script, in the same realm, and keeps its own values out of the script's reach.
(function (host) {
  "use strict";
  const { freeze, defineProperty, getPrototypeOf, keys } = Object;
  const { isArray } = Array;
  const { apply, construct, get: reflectGet } = Reflect;
  const NativeDate = Date;
  const NativePromise = Promise;
  const NativeError = Error;
  const NativeTypeError = TypeError;
  const NativeProxy = Proxy;
  const text = String;
  const { then: promiseThen, catch: promiseCatch, finally: promiseFinally } = NativePromise.prototype;
  const promiseMethods = { __proto__: null, then: promiseThen, catch: promiseCatch, finally: promiseFinally };
  const objectProto = Object.prototype;
  const bytesProto = getPrototypeOf(Uint8Array.prototype);
  const isBytes = (value) => value instanceof Uint8Array;
  const isBuffer = (value) => value instanceof ArrayBuffer;
  const then = (promise, yes, no) => apply(promiseThen, promise, [yes, no]);
  const asyncIterator = Symbol.asyncIterator;

  class RemitError extends NativeError {
    constructor(failure, grant, method) {
      super(failure.message);
      this.code = failure.code;
      this.grant = grant;
      this.method = method;
      if (failure.code === "denied") this.caveat = failure.detail;
      else if (failure.detail !== "") this.detail = failure.detail;
    }
  }
  defineProperty(RemitError.prototype, "name", { value: "RemitError" });

  // The proxies through which the script holds objects, each with the handle behind it.
  const held = new WeakMap();
  const heldGet = WeakMap.prototype.get;
  const heldSet = WeakMap.prototype.set;
  const standsFor = (value) => apply(heldGet, held, [value]);

  // The operations in flight, by number.
  const waiting = new Map();
  const mapSet = Map.prototype.set;
  const mapTake = (number) => {
    const entry = apply(Map.prototype.get, waiting, [number]);
    apply(Map.prototype.delete, waiting, [number]);
    return entry;
  };

  const operation = (number, entry) =>
    new NativePromise((resolve, reject) => {
      entry.resolve = resolve;
      entry.reject = reject;
      apply(mapSet, waiting, [number, entry]);
    });

  const forbid = () => {
    throw new TypeError("an object of remit cannot be changed");
  };
  const traps = (get) =>
    freeze({
      __proto__: null,
      get,
      set: forbid,
      defineProperty: forbid,
      deleteProperty: forbid,
      setPrototypeOf: forbid,
      has: () => false,
      ownKeys: () => [],
      getOwnPropertyDescriptor: () => undefined,
      getPrototypeOf: () => null,
    });

  const objectProxy = (handle, grant) => {
    const proxy = new NativeProxy(
      { __proto__: null },
      traps((_, name) => {
        // An object is not a promise: `await` must return it as it is.
        if (typeof name === "symbol" || name === "then" || name === "toJSON") return undefined;
        return (...args) => call({ handle, grant }, name, args);
      }),
    );
    apply(heldSet, held, [proxy, { handle, grant }]);
    return proxy;
  };

  const call = (target, method, args) => {
    if (target.entry) target.entry.used = true;
    return promised(host.call(target.handle, method, args), target.grant, method);
  };

  // The result of an operation: a promise, and the object to which it resolves.
  const promised = (number, grant, method) => {
    const entry = { grant, method, used: false };
    entry.stack = new NativeError().stack;
    const promise = operation(number, entry);
    // `used` records whether the promise is awaited, so the engine must not report a rejection too.
    then(promise, undefined, () => {});
    const result = { handle: host.result(number), grant, entry };
    const proxy = new NativeProxy(
      { __proto__: null },
      traps((_, name) => {
        if (name === "then" || name === "catch" || name === "finally") {
          entry.used = true;
          const method = promiseMethods[name];
          return (...args) => apply(method, promise, args);
        }
        if (typeof name === "symbol" || name === "toJSON") return undefined;
        return (...args) => call(result, name, args);
      }),
    );
    apply(heldSet, held, [proxy, result]);
    return proxy;
  };

  const settle = (number, good, value) => {
    const entry = mapTake(number);
    if (entry === undefined) return;
    if (good) {
      entry.resolve(value);
      return;
    }
    const error = new RemitError(value, entry.grant, entry.method);
    // The stack of the call says more than the stack of the reply.
    if (entry.stack !== undefined) defineProperty(error, "stack", { value: entry.stack, writable: true, configurable: true });
    if (entry.method !== undefined && !entry.used) host.unhandled(error);
    entry.reject(error);
  };

  // Classifies an object on its way out, for the host that reads it.
  const PLAIN = -1, LIST = -2, BYTES = -3, BUFFER = -4, OTHER = -5;
  const classify = (value) => {
    const stood = standsFor(value);
    if (stood !== undefined) {
      if (stood.entry) stood.entry.used = true;
      return stood.handle;
    }
    if (isArray(value)) return LIST;
    if (isBytes(value)) return BYTES;
    if (isBuffer(value)) return BUFFER;
    const proto = getPrototypeOf(value);
    return proto === objectProto || proto === null ? PLAIN : OTHER;
  };

  const grants = { __proto__: null };
  // The first grant of the tool `tasks`, which `remit.spawn` uses.
  let spawner;
  const own = {
    __proto__: null,
    sleep: (ms) => {
      if (typeof ms !== "number" || !(ms >= 0)) throw new TypeError("remit.sleep takes milliseconds, a number of at least 0");
      return operation(host.sleep(ms), {});
    },
    input: () => operation(host.input(), {}),
    // Requests an input only when the loop reaches it, so that none is taken and left unused.
    inputs: () => {
      let over = false;
      const ended = (value) => new NativePromise((resolve) => resolve({ value, done: true }));
      const iterator = {
        __proto__: null,
        next: () => (over ? ended(undefined) : then(own.input(), (value) => ({ value, done: false }))),
        return: (value) => { over = true; return ended(value); },
      };
      iterator[asyncIterator] = () => iterator;
      return freeze(iterator);
    },
    steers: (options) => operation(host.steers(options !== undefined && options !== null && options.wait === true), {}),
    spawn: (...args) => {
      if (spawner === undefined) {
        throw new RemitError({ code: "not-found", message: "the task may spawn none: grant it the tool `tasks`", detail: "" }, "tasks", "spawn");
      }
      return call(spawner, "spawn", args);
    },
    request: (options) => {
      const { tool, reason } = options ?? {};
      if (typeof tool !== "string" || typeof reason !== "string") {
        throw new TypeError("remit.request takes { tool, reason }: the name of a tool, and what for, in words for a person");
      }
      return promised(host.request(tool, reason), tool, "request");
    },
    now: () => host.now(),
    random: () => host.random(),
  };
  for (const name of keys(own)) freeze(own[name]);
  // The names of absent grants that the script read: an error that follows from one says so.
  const absent = [];
  const remit = new NativeProxy({ __proto__: null }, freeze({
    ...traps((_, name) => {
      if (typeof name === "symbol" || name === "then" || name === "toJSON") return undefined;
      if (own[name] !== undefined) return own[name];
      if (grants[name] === undefined && absent.length < 100 && !absent.includes(name)) absent[absent.length] = name;
      return grants[name];
    }),
    __proto__: null,
    has: (_, name) => name in own || name in grants,
    ownKeys: () => keys(grants),
    getOwnPropertyDescriptor: (_, name) =>
      name in grants ? { value: grants[name], enumerable: true, configurable: true } : undefined,
  }));

  // The absent grant that caused this error of the engine, if one did: the line that threw the
  // error contains its name.
  const blamed = (error) => {
    if (absent.length === 0 || !(error instanceof NativeTypeError)) return undefined;
    const message = text(error.message);
    if (!message.includes("of undefined") && !message.includes("not a function")) return undefined;
    return host.mentioned(text(error.stack ?? ""), absent);
  };

  // The clock stands still between events, and randomness comes from the task's seed.
  const ReplayedDate = new NativeProxy(NativeDate, {
    __proto__: null,
    apply: () => new NativeDate(host.now()).toString(),
    construct: (target, args, fresh) =>
      construct(target, args.length === 0 ? [host.now()] : args, fresh === ReplayedDate ? target : fresh),
    get: (target, name, receiver) => (name === "now" ? own.now : reflectGet(target, name, receiver)),
  });
  defineProperty(NativeDate.prototype, "constructor", { value: ReplayedDate });
  globalThis.Date = ReplayedDate;
  Math.random = own.random;
  for (const name of [
    "WeakRef", "FinalizationRegistry", "SharedArrayBuffer", "Atomics", "performance", "navigator",
    "setTimeout", "setInterval", "clearTimeout", "clearInterval", "queueMicrotask", "gc",
  ]) delete globalThis[name];

  const define = (name, value) =>
    defineProperty(globalThis, name, { value, writable: true, enumerable: false, configurable: true });
  // An error of the callback is an unhandled rejection.
  define("queueMicrotask", (callback) => {
    if (typeof callback !== "function") throw new NativeTypeError("queueMicrotask takes a function");
    then(new NativePromise((resolve) => resolve()), () => { callback(); });
  });
  const timer = "there are no timers: `await remit.sleep(ms)`, which a replay repeats";
  const instead = {
    __proto__: null,
    fetch: "there is no fetch: call a grant of the tool `http`, as in `await remit.web.get(url)`",
    setTimeout: timer,
    setInterval: timer,
    setImmediate: timer,
    require: "there is no require: `import` files that lie beside or below the script",
  };
  for (const name of keys(instead)) define(name, () => { throw new NativeTypeError(instead[name]); });
  // A bigint becomes a plain integer in JSON.
  const { rawJSON } = JSON;
  defineProperty(BigInt.prototype, "toJSON", {
    value: function toJSON() { return rawJSON(text(this)); }, writable: true, configurable: true,
  });
  // Made at the first use of one of these names: most scripts use none.
  let web;
  for (const name of [
    "TextEncoder", "TextDecoder", "URL", "URLSearchParams", "Event", "EventTarget", "AbortSignal",
    "AbortController", "crypto", "structuredClone",
  ]) {
    defineProperty(globalThis, name, {
      get: () => { web ??= host.web(); define(name, web[name]); return web[name]; },
      set: (value) => define(name, value),
      enumerable: false,
      configurable: true,
    });
  }

  const show = (value, depth, seen) => {
    switch (typeof value) {
      case "string": return depth === 0 ? value : JSON.stringify(value);
      case "bigint": return `${value}n`;
      case "symbol": return text(value);
      case "function": return `[function ${value.name || "anonymous"}]`;
      case "object": break;
      default: return text(value);
    }
    if (value === null) return "null";
    if (standsFor(value) !== undefined) return `[object of ${standsFor(value).grant}]`;
    if (seen.includes(value)) return "[circular]";
    if (depth > 4) return "…";
    if (value instanceof NativeError) return `${headline(value)}${parts(value, seen.length)}`;
    if (isBytes(value)) return `[${value.length} bytes]`;
    const inner = [...seen, value];
    if (isArray(value)) {
      const items = value.slice(0, 100).map((item) => show(item, depth + 1, inner));
      if (value.length > 100) items.push(`… ${value.length - 100} more`);
      return `[${items.join(", ")}]`;
    }
    const names = keys(value);
    const fields = names.slice(0, 100).map((name) => `${name}: ${show(value[name], depth + 1, inner)}`);
    if (names.length > 100) fields.push(`… ${names.length - 100} more`);
    return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
  };
  const log = (level) => (...args) => host.log(level, args.map((value) => show(value, 0, [])).join(" "));
  globalThis.console = freeze({
    __proto__: null,
    debug: log(0), log: log(1), info: log(1), warn: log(2), error: log(3), trace: log(0),
  });

  const headline = (error) => {
    if (!(error instanceof NativeError)) return show(error, 1, []);
    return `${error instanceof RemitError ? `${error.name} ${error.code}` : error.name}: ${error.message}`;
  };
  // The cause of an error and the errors that it contains, a line each.
  const parts = (error, depth) => {
    if (!(error instanceof NativeError) || depth > 4) return "";
    let lines = "";
    const add = (what, part) => { lines += `\n${"  ".repeat(depth)}${what} ${headline(part)}${parts(part, depth + 1)}`; };
    if (isArray(error.errors)) {
      for (const part of error.errors.slice(0, 10)) add("-", part);
      if (error.errors.length > 10) lines += `\n${"  ".repeat(depth)}- ${error.errors.length - 10} more`;
    }
    if (error.cause !== undefined) add("caused by", error.cause);
    return lines;
  };

  // Reading an error may itself throw: its parts are properties that a script defines.
  const describe = (error) => {
    try { return described(error); } catch { return ["failed", "the script threw an error that cannot be shown", ""]; }
  };
  const described = (error) => {
    if (error instanceof NativeError) {
      const stack = text(error.stack ?? "");
      const name = blamed(error);
      if (name !== undefined) {
        const names = keys(grants);
        const has = names.length === 0 ? "it holds nothing" : `it holds ${names.join(", ")}`;
        return ["not-found", `the task holds no grant named \`${name}\`: ${has} (${error.message})`, stack];
      }
      const memory = error.name === "InternalError" && error.message === "out of memory";
      const code = error instanceof RemitError ? error.code : memory ? "limit" : "failed";
      const head = error instanceof RemitError ? error.message : headline(error);
      let more = "";
      try { more = parts(error, 0); } catch { more = "\nits cause cannot be shown"; }
      return [text(code), `${head}${more}`, stack];
    }
    let shown;
    try { shown = show(error, 0, []); } catch { shown = "a value that cannot be shown"; }
    return ["failed", `the script threw ${shown}`, ""];
  };

  return freeze({
    __proto__: null,
    settle,
    classify,
    describe,
    isHeld: (value) => standsFor(value) !== undefined,
    object: (handle, grant) => objectProxy(handle, grant),
    grant: (name, handle, tool) => {
      grants[name] = objectProxy(handle, name);
      if (tool === "tasks" && spawner === undefined) spawner = { handle, grant: name };
    },
    grantOf: (number) => {
      const entry = apply(Map.prototype.get, waiting, [number]);
      return entry === undefined ? "" : text(entry.grant);
    },
    run: (main, input, name) => {
      if (typeof main !== "function") {
        const wanted = name === "" ? "no default export" : `no export \`${name}\``;
        const hint = name === "" ? "default async function" : `async function ${name}`;
        host.failed("invalid-argument", `the script has ${wanted} that is a function: write \`export ${hint} (remit, input) { ... }\``, "");
        return;
      }
      const fail = (error) => { const [code, message, stack] = describe(error); host.failed(code, message, stack); };
      const started = new NativePromise((resolve) => resolve(main(remit, input)));
      then(started, (value) => {
        try { host.done(value); } catch (error) { fail(error); }
      }, fail);
    },
  });
})

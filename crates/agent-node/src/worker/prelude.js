// What a script sees of the world: `remit`, a console, and a clock and chance that replay.
// Runs before the script, in the same realm, and keeps what it needs out of the script's reach.
(function (host) {
  "use strict";
  const { freeze, defineProperty, getPrototypeOf, keys } = Object;
  const { isArray } = Array;
  const { apply, construct, get: reflectGet } = Reflect;
  const NativeDate = Date;
  const NativePromise = Promise;
  const NativeError = Error;
  const NativeProxy = Proxy;
  const text = String;
  const promiseThen = NativePromise.prototype.then;
  const objectProto = Object.prototype;
  const bytesProto = getPrototypeOf(Uint8Array.prototype);
  const isBytes = (value) => value instanceof Uint8Array;
  const isBuffer = (value) => value instanceof ArrayBuffer;
  const then = (promise, yes, no) => apply(promiseThen, promise, [yes, no]);

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

  // Proxies by which the script holds objects, and the record of what each stands for: a handle of
  // the host, the grant it came through, and for the result of a call how that call went.
  const held = new WeakMap();
  const heldGet = WeakMap.prototype.get;
  const heldSet = WeakMap.prototype.set;
  const standsFor = (value) => apply(heldGet, held, [value]);

  // Handles of objects that the script can reach no more are given back.
  const dropped = new FinalizationRegistry((handle) => host.release(handle));
  const watch = FinalizationRegistry.prototype.register;
  const recordOf = (handle, grant, method) => {
    const record = { handle, grant, method, promise: undefined, error: undefined, bare: false };
    apply(watch, dropped, [record, handle]);
    return record;
  };

  // Operations under way, by number.
  const waiting = new Map();
  const mapGet = Map.prototype.get;
  const mapSet = Map.prototype.set;
  const mapDelete = Map.prototype.delete;

  const numbered = (number) => {
    if (typeof number === "number") return number;
    throw new RemitError({ code: "limit", message: number, detail: "" });
  };
  const operation = (number, entry) =>
    new NativePromise((resolve, reject) => {
      entry.resolve = resolve;
      entry.reject = reject;
      apply(mapSet, waiting, [number, entry]);
    });
  const ignore = () => {};
  // Whoever uses the result of a call learns of its failure from what they do with it.
  const use = (record) => {
    if (record.promise !== undefined) then(record.promise, undefined, ignore);
  };

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
  const hold = (record, get) => {
    const proxy = new NativeProxy({ __proto__: null }, traps(get));
    if (record !== undefined) apply(heldSet, held, [proxy, record]);
    return proxy;
  };
  const isNoMethod = (name) => typeof name === "symbol" || name === "toJSON";

  // An object is no promise: `await` must give it back as it is.
  const objectProxy = (record) =>
    hold(record, (_, name) =>
      isNoMethod(name) || name === "then" ? undefined : (...args) => call(record, name, args));

  const callProxy = (record, promise) =>
    hold(record, (_, name) => {
      if (name === "then" || name === "catch" || name === "finally") {
        const method = promise[name];
        return (...args) => apply(method, promise, args);
      }
      return isNoMethod(name) ? undefined : (...args) => call(record, name, args);
    });

  const noObject = (record, wanted) =>
    new RemitError(
      {
        code: "invalid-argument",
        message: `\`${record.method}\` returned a value and no object, on which ${wanted}`,
        detail: "",
      },
      record.grant,
      record.method,
    );

  const call = (target, method, args) => {
    use(target);
    const error =
      target.error ?? (target.bare ? noObject(target, `\`${method}\` could be called`) : undefined);
    if (error !== undefined) {
      const failed = { handle: -1, grant: target.grant, method, error };
      failed.promise = new NativePromise((_, reject) => reject(error));
      return callProxy(failed, failed.promise);
    }
    const number = numbered(host.call(target.handle, method, args, classify));
    const record = recordOf(number, target.grant, method);
    const entry = { record, stack: new NativeError().stack };
    record.promise = operation(number, entry);
    return callProxy(record, record.promise);
  };

  const settle = (number, good, value, object) => {
    const entry = apply(mapGet, waiting, [number]);
    if (entry === undefined) return;
    apply(mapDelete, waiting, [number]);
    const { record } = entry;
    if (good) {
      if (record !== undefined) {
        record.promise = undefined;
        record.bare = !object;
      }
      entry.resolve(object && value === null ? objectProxy(record) : value);
      return;
    }
    const error = new RemitError(value, record?.grant, record?.method);
    // The stack of the call says more than that of the reply.
    if (entry.stack !== undefined) {
      defineProperty(error, "stack", { value: entry.stack, writable: true, configurable: true });
    }
    if (record !== undefined) record.error = error;
    entry.reject(error);
  };

  // Values on their way out, for the host to walk: the handle of an object of remit, else what kind
  // of thing it is.
  const PLAIN = -1, LIST = -2, BYTES = -3, BUFFER = -4, OTHER = -5;
  const classify = (value) => {
    if (typeof value === "bigint") return text(value);
    const record = standsFor(value);
    if (record !== undefined) {
      use(record);
      if (record.error !== undefined) throw record.error;
      if (record.bare) throw noObject(record, "the argument stands");
      return record.handle;
    }
    if (isArray(value)) return LIST;
    if (isBytes(value)) return BYTES;
    if (isBuffer(value)) return BUFFER;
    if (typeof value === "function") return OTHER;
    const proto = getPrototypeOf(value);
    return proto === objectProto || proto === null ? PLAIN : OTHER;
  };

  const grants = { __proto__: null };
  const own = {
    __proto__: null,
    sleep: (ms) => {
      if (typeof ms !== "number" || !(ms >= 0)) throw new TypeError("remit.sleep takes milliseconds, a number of at least 0");
      return operation(numbered(host.sleep(ms)), { stack: new NativeError().stack });
    },
    input: () => operation(numbered(host.input()), { stack: new NativeError().stack }),
    now: () => host.now(),
    random: () => host.random(),
  };
  for (const name of keys(own)) freeze(own[name]);
  const remit = new NativeProxy(
    { __proto__: null },
    traps((_, name) => {
      if (typeof name === "symbol" || name === "then" || name === "toJSON") return undefined;
      if (own[name] !== undefined) return own[name];
      if (grants[name] !== undefined) return grants[name];
      const names = keys(grants);
      const has = names.length === 0 ? "it holds nothing" : `it holds ${names.join(", ")}`;
      const message = `the task holds no grant named \`${name}\`: ${has}`;
      return new NativeProxy({ __proto__: null }, traps((_, method) => {
        if (typeof method === "symbol" || method === "then" || method === "toJSON") return undefined;
        return () => {
          throw new RemitError({ code: "not-found", message, detail: "" }, name, method);
        };
      }));
    }),
  );

  // The clock stands still between events, and chance comes from the task's seed.
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
    "setTimeout", "setInterval", "clearTimeout", "clearInterval", "gc",
  ]) delete globalThis[name];

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
    if (value instanceof NativeError) return `${value.name}: ${value.message}`;
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

  // An uncaught error as code, message and stack.
  const describe = (error) => {
    try {
      if (error instanceof RemitError) return [text(error.code), text(error.message), text(error.stack)];
      if (error instanceof NativeError) {
        const spent = error.name === "InternalError" && error.message === "out of memory";
        const message = spent ? "the script used more memory than it may" : `${error.name}: ${error.message}`;
        return [spent ? "limit" : "failed", message, text(error.stack ?? "")];
      }
      return ["failed", `the script threw ${show(error, 0, [])}`, ""];
    } catch {
      return ["failed", "the script threw something that cannot be shown", ""];
    }
  };
  const fail = (error) => {
    const told = describe(error);
    host.failed(told[0], told[1], told[2]);
  };
  const NO_MAIN =
    "the script has no function as its default export: write `export default async function (remit, input) { ... }`";

  return freeze({
    __proto__: null,
    settle,
    fail,
    describe,
    part: (handle, number) => {
      const record = apply(mapGet, waiting, [number])?.record;
      return objectProxy(recordOf(handle, record?.grant, record?.method));
    },
    given: (handle) => objectProxy(recordOf(handle, "input", undefined)),
    grant: (name, handle) => {
      grants[name] = objectProxy({ handle, grant: name, promise: undefined, error: undefined, bare: false });
    },
    begin: (evaluated, namespace, input) => {
      const main = () => {
        const main = namespace.default;
        if (typeof main !== "function") throw new RemitError({ code: "invalid-argument", message: NO_MAIN, detail: "" });
        return main(remit, input);
      };
      then(then(evaluated, main), (value) => {
        // What was returned may be a call that nobody awaited.
        try { host.done(value, classify); } catch (error) { fail(error); }
      }, fail);
    },
  });
})

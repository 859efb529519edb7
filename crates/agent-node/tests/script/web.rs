//! The web interfaces that scripts expect.

use remit_core::Value;

use super::owner::run;
use super::{failure, result};

/// Runs checks, each an expression that must be true.
#[track_caller]
fn check(checks: &[&str]) -> impl Future<Output = ()> {
    let list: Vec<String> = checks.iter().map(|check| format!("async () => {check}")).collect();
    let script = format!(
        "const refuses = (name, work) => {{ try {{ work(); }} catch (e) {{ return e.name === name; }} return false; }};
         export default async (remit) => {{
           const wrong = [];
           for (const check of [{}]) {{
             let right; try {{ right = await check(); }} catch (e) {{ right = `${{e}}`; }}
             if (right !== true) wrong.push(`${{check}} gives ${{JSON.stringify(right)}}`);
           }}
           return wrong;
         }}",
        list.join(",\n")
    );
    async move {
        let run = run(&[("main.js", &script)]).await;
        assert_eq!(*result(&run), Value::List(vec![]));
    }
}

#[tokio::test]
async fn text_is_encoded_and_decoded() {
    check(&[
        "new TextEncoder().encode('é🚀\\ud83d').join() === '195,169,240,159,154,128,239,191,189'",
        "new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0xc3, 0xa9, 0xff])) === 'é\\ufffd'",
        "new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf])) === '\\ufeff'",
        "refuses('TypeError', () => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xc3])))",
        "refuses('RangeError', () => new TextDecoder('klingon'))",
        "new TextDecoder('latin1').decode(new Uint8Array([0xe9, 0x80]).buffer) === 'é€'",
        "new TextDecoder('utf-16le').decode(new Uint16Array([0x41, 0xd83d, 0xde80, 0xd83d])) === 'A🚀\\ufffd'",
        "new TextDecoder('shift_jis').decode(new Uint8Array([0x93, 0xfa, 0x96, 0x7b])) === '日本'",
        "(() => { const d = new TextDecoder('sjis', { fatal: true }); return d.encoding === 'shift_jis'
           && d.decode(new Uint8Array([0x93]), { stream: true }) === '' && d.decode(new Uint8Array([0xfa])) === '日'; })()",
        "new TextDecoder('UTF-16BE').decode(new Uint8Array([0, 0x41, 0])) === 'A\\ufffd'",
        "(() => { const bytes = new TextEncoder().encode('\\ufeff茶は€3 🚀'), d = new TextDecoder(); let text = '';
           for (const byte of bytes) text += d.decode(new Uint8Array([byte]), { stream: true });
           return text + d.decode() === '茶は€3 🚀'; })()",
        "(() => { const d = new TextDecoder(); d.decode(new Uint8Array([0xf0, 0x9f]), { stream: true });
           return d.decode() === '\\ufffd' && d.decode(new Uint8Array([0x41])) === 'A'; })()",
        "(() => { const into = new Uint8Array(5), r = new TextEncoder().encodeInto('aé€', into);
           return r.read === 2 && r.written === 3; })()",
        "btoa(String.fromCharCode(0, 255)) === 'AP8=' && atob('AP8=').charCodeAt(1) === 255",
    ])
    .await;
}

#[tokio::test]
async fn addresses_are_taken_apart() {
    check(&[
        "(() => { const u = new URL('../b?x=1&y=a%20b#h', 'https://me:pw@Example.org:8443/a/c/d');
           return u.href === 'https://me:pw@example.org:8443/a/b?x=1&y=a%20b#h' && u.host === 'example.org:8443'
             && u.port === '8443' && u.pathname === '/a/b' && u.search === '?x=1&y=a%20b' && u.hash === '#h'
             && u.origin === 'https://example.org:8443' && u.username === 'me' && JSON.stringify({ u }).includes('/a/b'); })()",
        "(() => { const u = new URL('https://a.example/x'); u.searchParams.append('q', 'ä &='); u.pathname = '/y z'; u.port = '1';
           return u.href === 'https://a.example:1/y%20z?q=%C3%A4+%26%3D'; })()",
        "(() => { const u = new URL('https://a.example/?a=1'), p = u.searchParams; u.search = '?b=2'; return p.get('b') === '2' && p.get('a') === null; })()",
        "refuses('TypeError', () => new URL('nowhere')) && !URL.canParse('nowhere') && URL.parse('nowhere') === null",
        "(() => { const p = new URLSearchParams('?a=1&b=2&a=3+4'); p.delete('b'); p.set('c', 5);
           return p.getAll('a').join() === '1,3 4' && p.has('c', '5') && p.size === 3 && `${p}` === 'a=1&a=3+4&c=5'; })()",
        "`${new URLSearchParams({ z: 1, a: 'é' })}` === 'z=1&a=%C3%A9'",
        "(() => { const p = new URLSearchParams([['b', 1], ['a', 2]]); p.sort(); return [...p.keys()].join() === 'a,b'; })()",
    ])
    .await;
}

#[tokio::test]
async fn values_are_cloned() {
    check(&[
        "(() => { const a = { d: new Date(5), m: new Map([[1, { x: 1 }]]), s: new Set([2]), r: /x/gi, b: new Uint8Array([1, 2]), n: 3n };
           a.self = a; const c = structuredClone(a);
           return c !== a && c.self === c && c.d.getTime() === 5 && c.m.get(1).x === 1 && c.m.get(1) !== a.m.get(1)
             && c.s.has(2) && `${c.r}` === '/x/gi' && c.b[1] === 2 && c.b.buffer !== a.b.buffer && c.n === 3n; })()",
        "(() => { const e = structuredClone(new RangeError('x', { cause: 'y' })); return e instanceof RangeError && e.message === 'x' && e.cause === 'y'; })()",
        "refuses('DataCloneError', () => structuredClone(() => 1))",
        "refuses('DataCloneError', () => structuredClone({ a: remit.repo }))",
        "Object.keys(structuredClone({ ['__proto__']: 1, b: 2 })).join() === '__proto__,b'",
    ])
    .await;
}

#[tokio::test]
async fn work_is_aborted_and_delayed() {
    check(&[
        "(() => { const c = new AbortController(), seen = []; c.signal.addEventListener('abort', (e) => seen.push(e.type), { once: true });
           c.signal.onabort = () => seen.push('on'); c.abort(); c.abort();
           return c.signal.aborted && c.signal.reason.name === 'AbortError' && seen.join() === 'on,abort'
             && refuses('AbortError', () => c.signal.throwIfAborted()); })()",
        "(() => { const c = new AbortController(), any = AbortSignal.any([AbortSignal.abort('x'), c.signal]); return any.reason === 'x'; })()",
        "(() => { const c = new AbortController(), any = AbortSignal.any([c.signal]); c.abort('y'); return any.aborted && any.reason === 'y'; })()",
        "refuses('TypeError', () => AbortSignal.timeout(5))",
        "await new Promise((resolve) => { let first = true; queueMicrotask(() => resolve(!first)); first = false; })",
        "typeof setTimeout === 'function' && refuses('TypeError', () => setTimeout(() => {}, 1))",
    ])
    .await;
    let late = "export default async (remit) => { queueMicrotask(() => { throw new Error('late'); }); await remit.sleep(1); }";
    let late = run(&[("main.js", late)]).await;
    assert!(failure(&late).message.contains("late"), "{}", failure(&late));
}

#[tokio::test]
async fn chance_is_the_same_in_every_run() {
    let script = "export default () => [
        crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(16))].join(), Math.random(),
        `${crypto.getRandomValues(new Uint32Array(2)).length}`,
      ]";
    let once = run(&[("main.js", script)]).await;
    let again = run(&[("main.js", script)]).await;
    assert_eq!(result(&once), result(&again));
    let Value::List(drawn) = result(&once) else { panic!() };
    let uuid = drawn[0].as_text().unwrap();
    assert!(uuid.len() == 36 && uuid.as_bytes()[14] == b'4', "{uuid}");
    check(&[
        "crypto.randomUUID() !== crypto.randomUUID()",
        "refuses('QuotaExceededError', () => crypto.getRandomValues(new Uint8Array(65537)))",
        "refuses('TypeMismatchError', () => crypto.getRandomValues(new Float64Array(1)))",
    ])
    .await;
}

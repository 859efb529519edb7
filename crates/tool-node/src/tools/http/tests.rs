//! What the http tool must do, and what must not get through it, against a small server.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::kit::{Code, Handle, Value};

const SECRET: &str = "hunter2-hunter2";

/// A server that writes down what it was sent, and answers by path.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the path and the server's own address, and gives status line, headers and
    /// body of the answer.
    async fn start(answer: fn(&str, SocketAddr) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, seen: Arc::default() };
        let seen = Arc::clone(&server.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, address, Arc::clone(&seen), answer));
            }
        });
        server
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    answer: fn(&str, SocketAddr) -> String,
) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    seen.lock().unwrap().push(request);
    let _ = stream.write_all(answer(&path, address).as_bytes()).await;
    if path.starts_with("/hang") {
        // Held open until the client gives up.
        let _ = stream.read(&mut [0]).await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn answer(path: &str, address: SocketAddr) -> String {
    let end = "Connection: close\r\n\r\n";
    let to = |status: &str, location: &str| {
        format!("HTTP/1.1 {status} x\r\nLocation: {location}\r\n{end}")
    };
    match path {
        "/api/hello" => {
            format!("HTTP/1.1 200 OK\r\nX-Kind: greeting\r\nSet-Cookie: a=b\r\n{end}hello")
        }
        "/api/missing" => format!("HTTP/1.1 404 No\r\n{end}nothing"),
        "/api/echo" => format!("HTTP/1.1 200 OK\r\nX-Token: {SECRET}\r\n{end}token={SECRET};"),
        "/api/large" => {
            format!("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n{end}{}", "x".repeat(5000))
        }
        "/api/endless" => format!("HTTP/1.1 200 OK\r\n{end}{}", "x".repeat(5000)),
        "/api/once" => to("302", "hello"),
        "/api/see" => to("303", "/api/hello"),
        "/api/kept" => to("307", "/api/hello"),
        "/api/loop" => to("302", "/api/loop"),
        "/api/up" => to("302", "../private"),
        "/api/out" => to("302", "http://example.com/api/hello"),
        "/api/other-port" => to("302", "http://127.0.0.1:1/api/hello"),
        "/api/localhost" => to("302", &format!("http://localhost:{}/api/hello", address.port())),
        "/api/strange" => to("302", "http://127.0.0.1@example.com/"),
        _ => format!("HTTP/1.1 200 OK\r\n{end}private"),
    }
}

fn check<F: Future<Output = ()>>(test: impl FnOnce(Server) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(Server::start(answer).await).await });
}

fn configured(text: &str, base: &Path) -> Result<Tool, String> {
    tool(&toml::from_str(text).unwrap(), base)
}

/// The tool, allowed what is below `/api` of the server and of its other name.
fn web(server: &Server, more: &str) -> Handle {
    let port = server.address.port();
    let text = format!(
        "allow = ['{}', 'http://localhost:{port}/api']\nprivate_addresses = true\n{more}",
        server.url("/api")
    );
    configured(&text, Path::new("/")).unwrap().open().unwrap().handle()
}

/// A section that adds a secret for the server, read from a file.
fn secret(server: &Server, dir: &TempDir) -> String {
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let to = server.url("/api");
    format!("[[header]]\nname = 'Authorization'\nprefix = 'Bearer '\nfile = {file:?}\nto = '{to}'")
}

async fn get(web: &Handle, url: String) -> Result<Json, Failure> {
    web.call("get", &(url,)).await?.decode()
}

#[test]
fn an_answer_comes_with_status_headers_and_body() {
    check(|server| async move {
        let web = web(&server, "");
        let hello = get(&web, server.url("/api/hello?q=1")).await.unwrap();
        assert_eq!(hello["status"], 200);
        let hello = get(&web, server.url("/api/hello")).await.unwrap();
        assert_eq!(
            (&hello["body"], &hello["headers"]["x-kind"]),
            (&json!("hello"), &json!("greeting"))
        );
        assert_eq!(hello["headers"]["set-cookie"], Json::Null);
        let data = json!({"url": server.url("/api/hello"), "encoding": "data"});
        let bytes = web.call("get", &data).await.unwrap();
        assert_eq!(bytes.value().field("body"), Some(&Value::Data(b"hello".to_vec())));
        let missing = get(&web, server.url("/api/missing")).await.unwrap();
        assert_eq!((&missing["status"], &missing["body"]), (&json!(404), &json!("nothing")));
        let head: Json =
            web.call("head", &(server.url("/api/hello"),)).await.unwrap().decode().unwrap();
        assert_eq!((&head["status"], &head["body"]), (&json!(200), &json!("")));
        assert!(server.seen().last().unwrap().starts_with("HEAD /api/hello "));
    });
}

#[test]
fn headers_and_a_body_are_sent() {
    check(|server| async move {
        let web = web(&server, "methods = ['POST']");
        let args = json!({
            "method": "POST", "url": server.url("/api/hello"), "headers": {"X-A": "b"}, "body": "hi"
        });
        web.call("request", &args).await.unwrap();
        let seen = server.seen().pop().unwrap().to_lowercase();
        assert!(seen.starts_with("post /api/hello ") && seen.ends_with("\r\n\r\nhi"), "{seen}");
        assert!(seen.contains("x-a: b"), "{seen}");
    });
}

#[test]
fn what_is_not_allowed_never_leaves_the_node() {
    check(|server| async move {
        let web = web(&server, "");
        for path in [
            "/private",
            "/",
            "/apix",
            "/api/../private",
            "/api/%2e%2e/private",
            "/api/..%2fprivate",
        ] {
            let failure = get(&web, server.url(path)).await.unwrap_err();
            assert!(matches!(failure.code, Code::Denied | Code::InvalidArgument), "{path}");
        }
        let host = server.address;
        for url in [
            format!("http://me@{host}/api/hello"),
            format!("https://{host}/api/hello"),
            "http://127.0.0.1:1/api/hello".to_owned(),
            "http://example.com/api/hello".to_owned(),
            "file:///etc/passwd".to_owned(),
        ] {
            assert!(get(&web, url.clone()).await.is_err(), "{url}");
        }
        for method in ["POST", "get", "CONNECT", ""] {
            let args = json!({"method": method, "url": server.url("/api/hello")});
            assert_eq!(web.call("request", &args).await.err().unwrap().code, Code::Denied);
        }
        assert_eq!(server.seen(), Vec::<String>::new());
    });
}

#[test]
fn redirects_are_followed_inside_the_list_alone() {
    check(|server| async move {
        let web = web(&server, "");
        let hello = get(&web, server.url("/api/once")).await.unwrap();
        assert_eq!(
            (&hello["body"], &hello["url"]),
            (&json!("hello"), &json!(server.url("/api/hello")))
        );
        for path in ["up", "out", "other-port", "strange"] {
            let failure = get(&web, server.url(&format!("/api/{path}"))).await.unwrap_err();
            assert_eq!(failure.code, Code::Denied, "{path}: {failure}");
        }
        let failure = get(&web, server.url("/api/loop")).await.unwrap_err();
        assert!(failure.message.contains("more than 5 redirects"), "{failure}");
        assert!(!server.seen().iter().any(|request| request.contains("/private")));
        assert_eq!(server.seen().iter().filter(|r| r.contains("/api/loop")).count(), 6);
    });
}

#[test]
fn a_request_with_effects_is_not_sent_twice() {
    check(|server| async move {
        let web = web(&server, "methods = ['POST']");
        let post = |path: &str| json!({"method": "POST", "url": server.url(path), "body": "x"});
        let kept: Json = web.call("request", &post("/api/kept")).await.unwrap().decode().unwrap();
        assert_eq!(
            (&kept["status"], &kept["headers"]["location"]),
            (&json!(307), &json!("/api/hello"))
        );
        let seen: Json = web.call("request", &post("/api/see")).await.unwrap().decode().unwrap();
        assert_eq!(seen["body"], "hello");
        let requests = server.seen();
        let lines: Vec<&str> = requests.iter().map(|r| r.split(" HTTP").next().unwrap()).collect();
        assert_eq!(lines, ["POST /api/kept", "POST /api/see", "GET /api/hello"]);
    });
}

#[test]
fn a_secret_is_sent_and_never_shown() {
    check(|server| async move {
        let dir = tempfile::tempdir().unwrap();
        let web = web(&server, &secret(&server, &dir));
        let echo = get(&web, server.url("/api/echo")).await.unwrap();
        let sent = server.seen().pop().unwrap();
        assert!(sent.contains(&format!("authorization: Bearer {SECRET}")), "{sent}");
        assert_eq!(echo["body"], "token=[secret];");
        assert!(!echo.to_string().contains(SECRET), "{echo}");
    });
}

#[test]
fn an_answer_to_a_request_with_a_secret_is_asked_for_as_a_whole() {
    check(|server| async move {
        let dir = tempfile::tempdir().unwrap();
        let part = json!({ "headers": { "Range": "bytes=0-9", "If-Range": "x" } });
        for (config, is_passed_on) in [(String::new(), true), (secret(&server, &dir), false)] {
            let web = web(&server, &config);
            let with = (server.url("/api/hello"), part.clone());
            let _: Json = web.call("get", &with).await.unwrap().decode().unwrap();
            let sent = server.seen().pop().unwrap().to_lowercase();
            assert_eq!(sent.contains("range: bytes=0-9"), is_passed_on, "{sent}");
        }
    });
}

#[test]
fn an_agent_cannot_set_or_see_the_header_of_a_secret() {
    check(|server| async move {
        let dir = tempfile::tempdir().unwrap();
        let web = web(&server, &secret(&server, &dir));
        for name in
            ["Authorization", "AUTHORIZATION", "Host", "Content-Length", "Transfer-Encoding", "a b"]
        {
            let args = json!({"url": server.url("/api/hello"), "headers": {name: "x"}});
            let failure = web.call("get", &args).await.err().unwrap();
            assert!(!failure.to_string().contains(SECRET), "{failure}");
        }
        let args = json!({"url": server.url("/api/hello"), "headers": {"X-A": "b\r\nX-B: c"}});
        assert_eq!(web.call("get", &args).await.err().unwrap().code, Code::InvalidArgument);
        assert_eq!(server.seen(), Vec::<String>::new());
    });
}

#[test]
fn a_secret_does_not_follow_a_redirect_to_another_origin() {
    check(|server| async move {
        let dir = tempfile::tempdir().unwrap();
        let web = web(&server, &secret(&server, &dir));
        let hello = get(&web, server.url("/api/localhost")).await.unwrap();
        assert_eq!(hello["body"], "hello");
        let [first, second] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
        assert!(first.contains(SECRET) && !second.contains(SECRET), "{second}");
    });
}

#[test]
fn private_addresses_are_refused_by_number_and_by_name() {
    check(|server| async move {
        let port = server.address.port();
        let hosts =
            ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"];
        let allow = hosts.map(|host| format!("'http://{host}:{port}'")).join(", ");
        let web = configured(&format!("allow = [{allow}]"), Path::new("/")).unwrap();
        let web = web.open().unwrap().handle();
        for host in hosts {
            let failure = get(&web, format!("http://{host}:{port}/api/hello")).await.unwrap_err();
            assert_eq!(
                (failure.code, failure.detail.as_str()),
                (Code::Denied, "private_addresses"),
                "{host}"
            );
        }
        assert_eq!(server.seen(), Vec::<String>::new());
    });
}

#[test]
fn an_answer_that_is_too_large_or_too_late_is_refused() {
    check(|server| async move {
        let web = web(&server, "response_bytes = 1000\ntimeout_ms = 200");
        for path in ["/api/large", "/api/endless"] {
            let failure = get(&web, server.url(path)).await.unwrap_err();
            assert_eq!(failure.code, Code::Limit, "{path}");
        }
        let failure = slow().await.unwrap_err();
        assert_eq!(failure.code, Code::TimedOut);
        let head: Json =
            web.call("head", &(server.url("/api/large"),)).await.unwrap().decode().unwrap();
        assert_eq!(head["status"], 200);
    });
}

/// Asks for something that never comes to its end.
async fn slow() -> Result<Json, Failure> {
    let slow = Server::start(|_, _| "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx".into()).await;
    let text = format!("allow = ['{}']\nprivate_addresses = true\ntimeout_ms = 200", slow.url("/"));
    let web = configured(&text, Path::new("/")).unwrap().open().unwrap().handle();
    get(&web, slow.url("/hang")).await
}

#[test]
fn a_server_that_is_away_is_unavailable() {
    check(|_| async move {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let text = format!("allow = ['http://{gone}']\nprivate_addresses = true");
        let web = configured(&text, Path::new("/")).unwrap().open().unwrap().handle();
        let failure = get(&web, format!("http://{gone}/")).await.unwrap_err();
        assert_eq!(failure.code, Code::Unavailable, "{failure}");
    });
}

/// A server that never answers: `way` says how it goes.
async fn silent(way: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = [0; 4096];
            let _ = stream.read(&mut seen).await;
            match way {
                "closes" => {}
                "half" => {
                    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx";
                    let _ = stream.write_all(half).await;
                }
                "away" => {
                    let to = b"HTTP/1.1 303 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    let _ = stream.write_all(to).await;
                }
                "long" => {
                    let long = format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{}",
                        "x".repeat(9999)
                    );
                    let _ = stream.write_all(long.as_bytes()).await;
                }
                _ => {
                    // Held open until the client gives up.
                    let _ = stream.read(&mut seen).await;
                }
            }
        }
    });
    address
}

#[test]
fn a_request_with_effects_whose_answer_was_lost_is_unknown() {
    check(|_| async move {
        for (way, of_get) in [
            ("closes", Code::Failed),
            ("half", Code::Failed),
            ("hangs", Code::TimedOut),
            ("long", Code::Limit),
            ("away", Code::Unavailable),
        ] {
            let server = silent(way).await;
            let text = format!(
                "allow = ['http://{server}', 'http://127.0.0.1:1']\nprivate_addresses = true\nmethods = ['POST']\ntimeout_ms = 400\nresponse_bytes = 1000"
            );
            let web = configured(&text, Path::new("/")).unwrap().open().unwrap().handle();
            let url = format!("http://{server}/");
            let post = json!({"method": "POST", "url": url, "body": "now"});
            let failure = web.call("request", &post).await.err().unwrap();
            assert_eq!(failure.code, Code::Unknown, "{way}: {failure}");
            let failure = get(&web, url).await.unwrap_err();
            assert_eq!(failure.code, of_get, "{way}: {failure}");
        }
    });
}

#[test]
fn a_request_that_was_not_sent_is_unavailable() {
    check(|_| async move {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let text = format!(
            "allow = ['http://{gone}', 'http://no-such-host.invalid']\nprivate_addresses = true\nmethods = ['POST']"
        );
        let web = configured(&text, Path::new("/")).unwrap().open().unwrap().handle();
        for url in [format!("http://{gone}/"), "http://no-such-host.invalid/".into()] {
            let post = json!({"method": "POST", "url": url, "body": "now"});
            let failure = web.call("request", &post).await.err().unwrap();
            assert_eq!(failure.code, Code::Unavailable, "{url}: {failure}");
        }
    });
}

#[test]
fn headers_are_given_as_documented() {
    check(|server| async move {
        let web = web(&server, "");
        let with = (server.url("/api/hello"), json!({"headers": {"Accept-Language": "de"}}));
        let _: Json = web.call("get", &with).await.unwrap().decode().unwrap();
        assert!(server.seen()[0].to_lowercase().contains("accept-language: de"));
    });
}

#[test]
fn an_encoded_slash_arrives_as_it_was_written() {
    check(|server| async move {
        let web = web(&server, "");
        get(&web, server.url("/api/group%2Fproject/issues")).await.unwrap();
        assert!(server.seen()[0].starts_with("GET /api/group%2Fproject/issues "));
        let up = get(&web, server.url("/api/group%2F..%2F..%2Fprivate")).await.unwrap_err();
        assert_eq!(up.code, Code::InvalidArgument, "{up}");
        assert_eq!(server.seen().len(), 1);
    });
}

#[test]
fn a_section_that_cannot_work_is_refused_with_a_reason_that_holds_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("short"), "abc").unwrap();
    std::fs::write(dir.path().join("odd"), "hunter2\nhunter2").unwrap();
    let header = |more: &str| format!("allow = ['http://a.b']\n[[header]]\nname = 'X-Key'\n{more}");
    for (text, word) in [
        ("allow = []".to_owned(), "allow is empty"),
        ("allow = ['a.b']".to_owned(), "a.b"),
        ("allow = ['http://a.b']\nmethods = ['CONNECT']".to_owned(), "CONNECT"),
        ("allow = ['http://a.b']\nresponse_bytes = 99000000".to_owned(), "response_bytes"),
        (header("file = 'none'"), "none"),
        (header("file = 'short'"), "shorter"),
        (header("file = 'odd'"), "characters"),
        (header("env = 'REMIT_TEST_NO_SUCH_VARIABLE'"), "REMIT_TEST_NO_SUCH_VARIABLE"),
        (header(""), "either"),
        (header("env = 'PATH'\nto = 'http://c.d'"), "http://c.d"),
        (
            "allow = ['http://a.b', 'http://c.d']\n[[header]]\nname = 'X'\nenv = 'PATH'".to_owned(),
            "`to`",
        ),
    ] {
        let why = configured(&text, dir.path()).err().unwrap();
        assert!(why.contains(word) && !why.contains("hunter2"), "{why}");
    }
}

#[test]
fn a_section_for_https_finds_its_provider() {
    configured("allow = ['https://example.com']", Path::new("/")).unwrap();
}

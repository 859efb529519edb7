//! A program that reaches the addresses of an `[[http]]` section alone, tried from inside.

use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::tools::places::Places;

/// A server that answers each connection with what it was sent, as the body of an answer.
async fn echo() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, seen) =
        (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{request}", request.len());
            noted.lock().unwrap().push(request);
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, seen)
}

/// Speaks to the proxy, or to anything else that listens, as the lines of a request.
const ASK: &str = r#"ask() { exec 3<>/dev/tcp/127.0.0.1/$1 || return; shift; printf '%s\r\n' "$@" >&3; cat <&3; }
"#;

async fn asked(shell: &Handle, line: &str) -> String {
    let args = json!({"program": "bash", "args": ["-c", format!("{ASK}{line}")]});
    let ran = run(shell, args).await.unwrap();
    text(&ran.stdout).to_owned()
}

#[test]
fn a_program_reaches_the_addresses_of_a_section_through_its_proxy_alone() {
    check(|dir| async move {
        let (confiner, (port, seen), (tunnelled, _)) = (confiner(), echo().await, echo().await);
        std::fs::write(dir.path().join("token"), "hunter2-hunter2").unwrap();
        let section = format!(
            "name = 'api'\nallow = ['http://127.0.0.1:{port}/v1', 'https://127.0.0.1:{tunnelled}']\n\
             private_addresses = true\ntunnels = true\n\
             header = [{{ name = 'x-key', file = 'token', to = 'http://127.0.0.1:{port}/v1' }}]"
        );
        let section: http::Config = toml::from_str(&section).unwrap();
        let config = format!(
            "root = {:?}\nnetwork = 'node'\nthrough = 'api'\nhidden = ['token']\n[[program]]\nname = 'bash'",
            dir.path()
        );
        let made = tool(&toml::from_str(&config).unwrap(), dir.path(), &confiner, &[section]);
        if !confiner.layers().has(Layer::Network) {
            assert!(made.err().unwrap().contains("network namespace"));
            return;
        }
        let shell = made.unwrap().open().unwrap().handle();
        let get = |path: &str| {
            let url = format!("GET http://127.0.0.1:{port}{path} HTTP/1.1");
            format!("ask 3128 '{url}' 'host: x' 'x-key: mine' 'connection: close' ''")
        };
        let answer = asked(&shell, &get("/v1/a")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("[secret]") && !answer.contains("hunter2"), "{answer}");
        let sent = seen.lock().unwrap().pop().unwrap();
        assert!(sent.contains("x-key: hunter2-hunter2") && !sent.contains("mine"), "{sent}");
        for (line, said) in [
            (get("/v2"), "403"),
            (get("/v1/../v2"), "400"),
            (get("/v1/a").replace("GET", "POST"), "403"),
            (format!("ask 3128 'CONNECT 127.0.0.1:{port} HTTP/1.1' ''"), "403"),
            (format!("ask {port} 'GET / HTTP/1.1' '' || echo refused"), "refused"),
            (format!("ask {tunnelled} 'GET / HTTP/1.1' '' || echo refused"), "refused"),
        ] {
            let answer = asked(&shell, &line).await;
            assert!(answer.contains(said), "{line}: {answer}");
        }
        assert!(seen.lock().unwrap().is_empty(), "nothing else arrived");
        let tunnel = format!("ask 3128 'CONNECT 127.0.0.1:{tunnelled} HTTP/1.1' '' 'hello'");
        let answer = asked(&shell, &tunnel).await;
        assert!(answer.contains("hello"), "{answer}");
        let variables = asked(&shell, "echo $http_proxy $HTTPS_PROXY").await;
        assert_eq!(variables, "http://127.0.0.1:3128 http://127.0.0.1:3128\n");
    });
}

#[test]
fn an_answer_is_passed_on_piece_by_piece_and_a_secret_in_two_pieces_is_hidden() {
    check(|dir| async move {
        let confiner = confiner();
        if !confiner.layers().has(Layer::Network) {
            eprintln!("SKIPPED an_answer_is_passed_on_piece_by_piece: no network namespace");
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // An answer without an end, of more than any proxy could hold.
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _request = stream.read(&mut [0; 4096]).await;
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhunter2-").await;
                let _gone = stream.flush().await;
                let more = [&b"hunter2"[..], &[b'.'; 1 << 16]].concat();
                while stream.write_all(&more).await.is_ok() {}
            }
        });
        std::fs::write(dir.path().join("token"), "hunter2-hunter2").unwrap();
        let section = format!(
            "name = 'api'\nallow = ['http://127.0.0.1:{port}/']\nprivate_addresses = true\n\
             header = [{{ name = 'x-key', file = 'token' }}]"
        );
        let section: http::Config = toml::from_str(&section).unwrap();
        let config = format!(
            "root = {:?}\nnetwork = 'node'\nthrough = 'api'\n[[program]]\nname = 'bash'",
            dir.path()
        );
        let made = tool(&toml::from_str(&config).unwrap(), dir.path(), &confiner, &[section]);
        let shell = made.unwrap().open().unwrap().handle();
        let line = format!(
            "ask 3128 'GET http://127.0.0.1:{port}/ HTTP/1.1' 'host: x' '' | head -c 300000"
        );
        let answer = asked(&shell, &line).await;
        assert_eq!(answer.len(), 300_000);
        assert!(answer.contains("[secret]") && !answer.contains("hunter2-"), "{}", &answer[..300]);
    });
}

#[test]
fn connections_of_all_programs_to_their_proxies_share_one_budget() {
    check(|dir| async move {
        let (port, _seen) = echo().await;
        let section = format!("allow = ['http://127.0.0.1:{port}/']\nprivate_addresses = true");
        let section: http::Config = toml::from_str(&section).unwrap();
        let places = Rc::new(Places::new(1, 1));
        let serve = async |places: &Rc<Places>| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            (address, Proxy::new(&section, dir.path(), Rc::clone(places)).unwrap(), listener)
        };
        let (one, proxy, listener) = serve(&places).await;
        let (two, other, further) = serve(&places).await;
        let test = async {
            let mut first = tokio::net::TcpStream::connect(one).await.unwrap();
            let get = format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nhost: x\r\n\r\n");
            first.write_all(get.as_bytes()).await.unwrap();
            assert!(first.read(&mut [0; 64]).await.unwrap() > 0);
            assert!(places.take(b"third").now_or_never().is_none());
            let mut second = tokio::net::TcpStream::connect(two).await.unwrap();
            second.write_all(get.as_bytes()).await.unwrap();
            let mut buffer = [0; 64];
            let mut answer = std::pin::pin!(second.read(&mut buffer));
            let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
            assert!(early.is_err(), "it has a place while the first one has all there are");
            drop(first);
            assert!(answer.await.unwrap() > 0);
        };
        tokio::select! {
            () = test => {}
            never = proxy.serve(listener, b"one") => match never {},
            never = other.serve(further, b"two") => match never {},
        }
    });
}

#[test]
fn a_network_that_names_no_section_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (more, why) in [
        ("network = 'node'", "go together"),
        ("through = 'api'", "go together"),
        ("network = 'node'\nthrough = 'api'", "api"),
    ] {
        let refused = configured(&dir, more).err().unwrap();
        let lacks =
            !confiner().layers().has(Layer::Network) && refused.contains("network namespace");
        assert!(refused.contains(why) || lacks, "{refused}");
    }
}

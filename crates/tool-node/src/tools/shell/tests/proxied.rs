//! A program that reaches the addresses of an `[[http]]` section alone, tried from inside.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

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

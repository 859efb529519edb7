//! A server that is reached by HTTP.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;

/// Serves until dropped, to whoever shows the key.
async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(async move {
            let served = hyper::server::conn::http1::Builder::new();
            let _ended = served.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let key = request.headers().get("x-key").map(|key| key.as_bytes().to_vec());
    let response = |status: u16, body: String| {
        let response =
            Response::builder().status(status).header("content-type", "application/json");
        Ok(response.body(Full::new(body.into())).unwrap())
    };
    if key.as_deref() != Some(b"tell-nobody-of-this") {
        return response(401, String::new());
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let asked: Json = serde_json::from_slice(&body).unwrap_or_default();
    let result = match asked["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": asked["params"]["protocolVersion"],
            "capabilities": { "tools": {} }, "serverInfo": { "name": "far", "version": "1" },
        }),
        Some("tools/list") => json!({ "tools": [
            { "name": "key", "inputSchema": { "type": "object" } },
            { "name": "big", "inputSchema": { "type": "object" } },
        ] }),
        Some("tools/call") if asked["params"]["name"] == "big" => {
            json!({ "content": [{ "type": "text", "text": "x".repeat(20 << 20) }] })
        }
        Some("tools/call") => {
            json!({ "content": [{ "type": "text", "text": "it is tell-nobody-of-this" }] })
        }
        Some(_) if asked.get("id").is_some() => {
            let error = json!({ "code": -32601, "message": "no such method" });
            let error = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": error });
            return response(200, error.to_string());
        }
        _ => return response(202, String::new()),
    };
    response(200, json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }).to_string())
}

#[tokio::test]
async fn remote_server_is_shown_its_key_and_bounded() {
    on_a_vat(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(serve(listener));
        let mut lab = Lab::start(|config| {
            let dir = tempfile::tempdir().unwrap().keep();
            std::fs::write(dir.join("key"), "tell-nobody-of-this").unwrap();
            let file = Some(dir.join("key"));
            config.command = Vec::new();
            config.url = Some(format!("http://{address}/mcp"));
            config.header = vec![SecretConfig { name: "x-key".into(), file, ..Default::default() }];
        })
        .await;
        let Value::List(blocks) = lab.call("key", json!({})).await.unwrap() else { panic!() };
        assert_eq!(blocks[0].field("text"), Some(&text("it is [secret]")));
        let failure = lab.fails("big").await;
        assert_eq!(failure.code, Code::Unknown, "{failure}");
        assert!(lab.call("key", json!({})).await.is_ok());
    })
    .await;
}

//! Messages over the standard streams of a program: one a line, each of a bounded length.

use std::io;
use std::sync::Arc;

use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::Mutex;

use super::bounded::Fault;
use crate::limits;

/// The streams of one program.
pub(super) struct Lines<R, W> {
    read: BufReader<R>,
    /// The line so far: a read that is dropped half-way goes on with the next one.
    line: Vec<u8>,
    write: Arc<Mutex<Option<W>>>,
    fault: Fault,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    pub(super) fn new(read: R, write: W, fault: Fault) -> Self {
        let write = Arc::new(Mutex::new(Some(write)));
        Self { read: BufReader::new(read), line: Vec::new(), write, fault }
    }

    /// Reads up to the end of a line. `None`: the stream has ended, or the line is too long.
    async fn read_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let part = match self.read.fill_buf().await {
                Ok([]) => return None,
                Ok(part) => part,
                Err(error) => {
                    self.fault.set(format!("its output cannot be read: {error}"));
                    return None;
                }
            };
            let end = part.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(part.len(), |end| end + 1);
            if self.line.len() + taken > limits::MCP_MESSAGE_BYTES {
                let most = limits::MCP_MESSAGE_BYTES;
                self.fault.set(format!("it sent a message of more than {most} bytes"));
                return None;
            }
            self.line.extend_from_slice(&part[..taken]);
            self.read.consume(taken);
            if end.is_some() {
                return Some(std::mem::take(&mut self.line));
            }
        }
    }
}

impl<R, W> Transport<RoleClient> for Lines<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let write = Arc::clone(&self.write);
        async move {
            let mut line = serde_json::to_vec(&message)?;
            line.push(b'\n');
            let mut write = write.lock().await;
            let write = write.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            write.write_all(&line).await?;
            write.flush().await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let line = self.read_line().await?;
        let values = values(&line);
        if values > limits::MCP_MESSAGE_VALUES {
            self.fault.set(format!("it sent a message of {values} values"));
            return None;
        }
        // What is no message, such as a line of a log, is passed over, but goes through the caller,
        // which counts it.
        match serde_json::from_slice(&line) {
            Ok(message) => Some(message),
            Err(_) if line.trim_ascii().first() != Some(&b'{') => Some(super::bounded::nothing()),
            Err(error) => {
                self.fault.set(format!("it sent a message that cannot be read: {error}"));
                None
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        drop(self.write.lock().await.take());
        Ok(())
    }
}

/// An upper bound of the number of values in a message, without reading it: each takes many times its
/// bytes in memory once it is read.
fn values(line: &[u8]) -> usize {
    let (mut values, mut in_text, mut escaped) = (1, false, false);
    for byte in line {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b',' | b'[' | b'{') => values += 1,
            _ => {}
        }
    }
    values
}

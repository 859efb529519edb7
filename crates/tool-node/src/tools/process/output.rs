//! What a program writes: kept up to a limit, and shown as it comes.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::kit::{CallContext, Text as Decoded};

/// Bytes read from a program at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Bytes of output in an error message: enough for the line that says why.
const LAST_WORDS: usize = 500;

/// What a program wrote so far.
pub(super) struct Output {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// Whether it wrote more than it may.
    pub(super) truncated: bool,
    /// How many bytes more it may write.
    free: usize,
}

impl Output {
    pub(super) const fn new(most: usize) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), truncated: false, free: most }
    }

    /// Reads both streams to their ends, or to the limit. Whether the limit was reached.
    pub(super) async fn collect(
        &mut self,
        stdout: Option<impl AsyncRead + Unpin>,
        stderr: Option<impl AsyncRead + Unpin>,
        call: &CallContext,
    ) -> bool {
        let (mut out, mut err) = (Pipe::new(stdout), Pipe::new(stderr));
        while !self.truncated && (out.is_open() || err.is_open()) {
            tokio::select! {
                chunk = out.next(), if out.is_open() => {
                    let kept = Self::keep(&mut self.free, &mut self.truncated, &mut self.stdout, &chunk);
                    out.text.show(kept, call);
                }
                chunk = err.next(), if err.is_open() => {
                    let kept = Self::keep(&mut self.free, &mut self.truncated, &mut self.stderr, &chunk);
                    err.text.show(kept, call);
                }
            }
        }
        self.truncated
    }

    /// Keeps of `chunk` what may be kept; gives that.
    fn keep<'a>(
        free: &mut usize,
        truncated: &mut bool,
        kept: &mut Vec<u8>,
        chunk: &'a [u8],
    ) -> &'a [u8] {
        let part = &chunk[..chunk.len().min(*free)];
        *truncated |= part.len() < chunk.len();
        *free -= part.len();
        kept.extend_from_slice(part);
        part
    }

    /// The end of what it wrote, for an error message.
    pub(super) fn last_words(&self) -> String {
        let last = |bytes: &[u8]| Decoded::last(bytes, LAST_WORDS).text;
        let words = [last(&self.stdout), last(&self.stderr)].join("\n");
        match words.trim() {
            "" => "nothing".into(),
            words => format!("{words:?}"),
        }
    }
}

/// A stream that is read.
struct Pipe<S> {
    stream: Option<S>,
    text: Text,
}

impl<S: AsyncRead + Unpin> Pipe<S> {
    const fn new(stream: Option<S>) -> Self {
        Self { stream, text: Text { partial: Vec::new() } }
    }

    const fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// The next bytes; none at the end, after which the stream is closed.
    async fn next(&mut self) -> Vec<u8> {
        let Some(stream) = &mut self.stream else { return Vec::new() };
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        // A stream that cannot be read has ended.
        let _ = stream.read_buf(&mut chunk).await;
        if chunk.is_empty() {
            self.stream = None;
        }
        chunk
    }
}

/// Bytes on their way to text, which may be cut in the middle of a character.
struct Text {
    partial: Vec<u8>,
}

impl Text {
    fn show(&mut self, bytes: &[u8], call: &CallContext) {
        self.partial.extend_from_slice(bytes);
        let whole = self.partial.len() - Decoded::cut_character(&self.partial);
        let text: Vec<u8> = self.partial.drain(..whole).collect();
        call.emit(&String::from_utf8_lossy(&text));
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::kit::Output as Shown;

    #[tokio::test]
    async fn a_character_that_comes_in_two_parts_is_shown_whole() {
        let (output, mut shown) = Shown::channel();
        let call = CallContext::new(b"k", CancellationToken::new(), output);
        let mut text = Text { partial: Vec::new() };
        let (one, two) = "aä".as_bytes().split_at(2);
        text.show(one, &call);
        text.show(two, &call);
        assert_eq!(shown.try_recv().unwrap().text, "a");
        assert_eq!(shown.try_recv().unwrap().text, "ä");
        // Also behind bytes that are none of any character.
        text.show(b"\xff\xc3", &call);
        text.show(b"\xa4", &call);
        assert_eq!(shown.try_recv().unwrap().text, "\u{fffd}");
        assert_eq!(shown.try_recv().unwrap().text, "ä");
    }

    #[tokio::test]
    async fn what_is_kept_ends_at_the_limit() {
        let call = CallContext::new(b"k", CancellationToken::new(), Shown::default());
        let mut output = Output::new(5);
        let both = (Some(&b"abcd"[..]), Some(&b"efgh"[..]));
        assert!(output.collect(both.0, both.1, &call).await);
        assert_eq!(output.stdout.len() + output.stderr.len(), 5);
        let mut output = Output::new(8);
        assert!(!output.collect(both.0, both.1, &call).await);
        assert_eq!(output.last_words(), r#""abcd\nefgh""#);
    }
}

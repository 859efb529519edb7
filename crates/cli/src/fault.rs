//! How a command ends when it does not end well, and the exit code that says so.

use std::io;
use std::process::ExitCode;

use remit_client::{Code, Error, Failure};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// What was typed makes no sense. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It could not be done. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The task ended badly. Exit code 1.
    #[error("{0}")]
    Task(Failure),
    /// Something was found that needs mending, and was already said. Exit code 1.
    #[error("")]
    Said,
    /// Ctrl-C, and what to do next was already said. Exit code 130, as shells have it.
    #[error("")]
    Interrupted,
    /// Nobody reads the output any more. That is no error.
    #[error("")]
    BrokenPipe,
}

impl Fault {
    /// The exit code that tells scripts what happened.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Task(_) | Self::Said => 1,
            Self::Interrupted => 130,
            Self::BrokenPipe => 0,
        })
    }

    /// What a person is told, if anything is left to be told.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Said | Self::Interrupted | Self::BrokenPipe => None,
            Self::Task(failure) => {
                let detail = failure.detail.trim_end();
                let more = if detail.is_empty() { String::new() } else { format!("\n{detail}") };
                Some(format!("the task failed: {}{more}", coded(failure)))
            }
            Self::Usage(text) | Self::Failed(text) => Some(text.clone()),
        }
    }
}

/// A failure in a line. Its code, if that says more than that it is one.
pub(crate) fn coded(failure: &Failure) -> String {
    match failure.code {
        Code::Failed => failure.message.clone(),
        code => format!("{code}: {}", failure.message),
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(text) => Self::Usage(text),
            // The detail of a denial is the caveat that refused.
            Error::Failed(denied) if denied.code == Code::Denied && !denied.detail.is_empty() => {
                Self::Failed(format!("{denied}  [{}]", denied.detail))
            }
            // The message says it all; what a person does about it does not depend on the code.
            Error::Failed(Failure {
                code: Code::Failed | Code::InvalidArgument | Code::NotFound,
                message,
                ..
            }) => Self::Failed(message),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::Failed(error.to_string())
    }
}

/// Says what was being done when the operating system refused it.
pub(crate) fn doing<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> Fault {
    move |error| Fault::Failed(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_why_and_no_code_that_says_nothing_more() {
        let said = |code| {
            let fault = Fault::from(Error::Failed(Failure::new(code, "the task has ended")));
            fault.message().unwrap_or_default()
        };
        for code in [Code::Failed, Code::InvalidArgument, Code::NotFound] {
            assert_eq!(said(code), "the task has ended");
        }
        assert_eq!(said(Code::Denied), "denied: the task has ended");
    }
}

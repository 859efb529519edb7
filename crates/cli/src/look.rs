//! How this run of the program may look: where there is a terminal, and whether colour is wanted.

use crate::show::paint::Paint;
use crate::show::screen::Screen;

/// How output may look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// For standard output.
    pub(crate) out: Paint,
    /// For standard error.
    pub(crate) err: Paint,
    /// Whether standard error is a terminal, on which a spinner makes sense.
    pub(crate) lively: bool,
    /// How many cells a line of standard output has; `None`: it is no terminal, and nothing is cut.
    pub(crate) columns: Option<usize>,
}

impl Look {
    /// A view for the events of a task.
    pub(crate) fn screen(self) -> Screen {
        Screen::new(self.err, self.lively)
    }
}

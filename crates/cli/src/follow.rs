//! Following a task on the screen until it ends or the person has seen enough.

use std::collections::HashSet;

use remit_client::{EventNumber, Fact, Followed, TaskHandle, value_to_json};

use crate::fault::{Fault, coded};
use crate::limits;
use crate::look::Look;
use crate::mesh::{Mesh, Place};
use crate::show::out;
use crate::show::screen::Screen;
use crate::show::text::harmless;

/// Which events to show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From {
    /// The last event that is not shown. The ones before are read all the same, so that those after
    /// can be told in full.
    pub(crate) after: EventNumber,
}

/// How following ended.
enum End {
    Task(Fact, Shown),
    Interrupt,
}

/// Whether the event by which a task ended was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
}

/// Shows `task` until it ends, then prints its result as JSON. Ctrl-C detaches: the task stays.
/// Either way the mesh is let go of.
pub(crate) async fn to_the_end(
    mut mesh: Mesh,
    place: &Place,
    task: TaskHandle,
    from: From,
    look: Look,
) -> Result<(), Fault> {
    let mut screen = look.screen();
    let end = mesh.tending(place, watch(&task, from, &mut screen, &place.command())).await;
    screen.rest();
    if let Ok(End::Interrupt) = &end {
        let id = task.id();
        let stays = if mesh.embedded.is_some() {
            "stopping; the task is safe on disk"
        } else {
            "the task goes on"
        };
        out::note(&format!("remit: detached, {stays}. Go on with: remit attach {id}"));
    }
    leave(mesh).await?;
    match end? {
        End::Interrupt => Err(Fault::Interrupted),
        End::Task(fact, shown) => say(fact, shown),
    }
}

/// Lets go of the mesh. A second Ctrl-C does not wait for it.
pub(crate) async fn leave(mesh: Mesh) -> Result<(), Fault> {
    tokio::select! {
        biased;
        () = mesh.leave() => Ok(()),
        _ = tokio::signal::ctrl_c() => Err(Fault::Interrupted),
    }
}

async fn watch(
    task: &TaskHandle,
    from: From,
    screen: &mut Screen,
    remit: &str,
) -> Result<End, Fault> {
    let mut events = task.events(EventNumber(0)).await?;
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    let mut last = None;
    let mut begun = false;
    let mut questions = Questions::default();
    loop {
        let followed = tokio::select! {
            biased;
            _ = &mut interrupt => return Ok(End::Interrupt),
            followed = events.next() => followed,
            () = tokio::time::sleep(limits::LONG_WAIT), if !begun => {
                begun = true;
                explain(task, screen).await;
                continue;
            }
        };
        match followed.transpose()? {
            Some(Followed::Event(event)) => {
                begun |= matches!(event.fact, Fact::AttemptStarted { .. });
                if event.number > from.after {
                    screen.event(&event);
                } else {
                    screen.pass(&event);
                }
                if asks(&event.fact) && questions.caught_up {
                    questions.show(task, remit, screen).await;
                }
                if ends(&event.fact) {
                    let is_new = event.number > from.after;
                    let shown = if is_new { Shown::Yes } else { Shown::No };
                    last = Some(End::Task(event.fact, shown));
                }
            }
            Some(Followed::Output { text, .. }) => screen.output(&text),
            Some(Followed::Disconnected) => {
                screen.print(
                    "remit: the connection to the mesh is lost; trying again, Ctrl-C leaves",
                );
            }
            Some(Followed::Reconnected) => screen.print("remit: connected to the mesh again"),
            Some(Followed::CaughtUp(_)) => {
                questions.caught_up = true;
                questions.show(task, remit, screen).await;
            }
            None => {
                return last.ok_or_else(|| {
                    Fault::Failed("the events of the task broke off: try `remit attach`".into())
                });
            }
        }
    }
}

/// What of the task waits for a person.
#[derive(Default)]
struct Questions {
    /// Whether what comes now is new. What was asked before may have been answered since.
    caught_up: bool,
    shown: HashSet<EventNumber>,
}

impl Questions {
    /// Shows those that were not shown yet, with the commands that answer them.
    async fn show(&mut self, task: &TaskHandle, remit: &str, screen: &Screen) {
        // Whoever asks for `remit inbox` is told why it cannot be read.
        let waiting = task.questions().await.unwrap_or_default();
        for asked in waiting.iter().filter(|asked| self.shown.insert(asked.event)) {
            screen.question(asked, remit);
        }
    }
}

const fn asks(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::ApprovalRequested(_) | Fact::CapabilityRequested(_) | Fact::SettlementRequested(_)
    )
}

/// Says what a task waits for that has not begun.
async fn explain(task: &TaskHandle, screen: &Screen) {
    if let Ok(info) = task.info().await
        && !info.has_ended()
    {
        let remedy = match info.status.as_str() {
            "pending" => {
                ". `remit nodes` lists the nodes; `remit agent-node`, or `remit up` on one machine, starts one"
            }
            _ => "",
        };
        let why = harmless(&info.detail);
        screen.print(&format!("remit: the task is {}: {why}{remedy}", info.status));
    }
}

const fn ends(fact: &Fact) -> bool {
    matches!(fact, Fact::TaskCompleted(_) | Fact::TaskFailed(_) | Fact::TaskCancelled(_))
}

/// How the task ended, but for what its last event has just said.
fn say(fact: Fact, shown: Shown) -> Result<(), Fault> {
    match fact {
        Fact::TaskCompleted(value) => out::json_lines(&value_to_json(&value)),
        Fact::TaskFailed(failure) => {
            let whole = coded(&failure).chars().count() <= limits::WHY;
            if shown == Shown::No || !whole || failure.message.contains('\n') {
                return Err(Fault::Task(failure));
            }
            if !failure.detail.trim().is_empty() {
                out::note(failure.detail.trim_end());
            }
            Err(Fault::Said)
        }
        Fact::TaskCancelled(reason) if shown == Shown::No => {
            Err(Fault::Failed(format!("the task was cancelled: {reason}")))
        }
        Fact::TaskCancelled(_) => Err(Fault::Said),
        _ => Ok(()),
    }
}

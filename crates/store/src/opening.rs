//! Opening a store: the state, the log after it, and whether that is all that was acknowledged.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use super::acknowledged::{About, Acknowledged, Noted};
use super::checkpoint::Writer;
use super::folder::{Engine, Folder, Replaced};
use super::log::{LOG, Log};
use super::point::{Bulk, Mark, Point};
use super::state::{Memory, State, size};
use super::{DiskError, Loss, OnDamage, Settings, Write};

/// A store that was opened.
pub(super) struct Opened {
    pub(super) state: State,
    pub(super) log: Log,
    pub(super) acknowledged: Acknowledged,
    pub(super) bulk: Bulk,
    /// Why nothing may be written: less is there than was acknowledged.
    pub(super) damage: Option<DiskError>,
}

/// What was read, and what is wrong with it.
struct Loaded {
    state: State,
    bulk: Bulk,
    /// Whether the last segment of the log can be appended to.
    goes_on: bool,
    /// For people. Empty: all that was acknowledged is there.
    wrong: Vec<String>,
    /// The commits that are missing, if they are all that is wrong.
    only_missing: Option<Vec<RangeInclusive<u64>>>,
}

/// Opens the store in `folder`. A state that is damaged is made anew if the log goes back to the
/// first commit.
pub(super) fn open(
    folder: &Folder,
    writer: &Writer,
    settings: &Settings,
) -> Result<Opened, DiskError> {
    let io = |what: &'static str| move |error: io::Error| failed(&folder.dir, what, &error);
    let log = Log::open(folder.dir.join(LOG)).map_err(io("reading the log"))?;
    let noted = Acknowledged::open(&folder.dir);
    let (acknowledged, noted) = noted.map_err(io("reading the last number"))?;
    let is_new = !folder.has_state() && log.is_empty() && noted.last().is_none();
    if is_new {
        folder.switch(&folder.fresh()?, Replaced::Remove)?;
    } else if noted.last().is_none() {
        tracing::warn!(folder = %folder.dir.display(),
            "the notes of acknowledged commits cannot be read: the log alone tells");
    }
    let last = noted.last().unwrap_or_default();
    let opening = Opening { folder, writer, settings, last, noted };
    let mut loaded = match opening.load(&log) {
        Ok(loaded) if loaded.wrong.is_empty() => loaded,
        Ok(loaded) => opening.again(&log, Ok(loaded))?,
        Err(why) => opening.again(&log, Err(why))?,
    };
    let opened = |log, state, bulk, damage| Opened { state, log, acknowledged, bulk, damage };
    let mut log = log;
    if !loaded.wrong.is_empty() {
        let damage = opening.damaged(&loaded.wrong.join("; "));
        match settings.on_damage {
            OnDamage::Refuse => {
                let record = opening.confined(&loaded).ok_or(damage)?;
                opening.accept(&mut loaded, &mut log, Some(record))?;
            }
            OnDamage::ReadOnly => return Ok(opened(log, loaded.state, loaded.bulk, Some(damage))),
            OnDamage::Accept => opening.accept(&mut loaded, &mut log, None)?,
        }
    }
    let mark = Mark { point: loaded.state.active.point, bulk: loaded.bulk.clone() };
    let begun = |log: &mut Log| {
        log.sync()?;
        if loaded.goes_on { log.go_on() } else { log.begin(&mark) }
    };
    begun(&mut log).map_err(io("beginning a segment of the log"))?;
    let opened = opened(log, loaded.state, loaded.bulk, None);
    let number = mark.point.number;
    let about = opening.noted.about(number).unwrap_or(&About::Everything);
    opened.acknowledged.reset(number, about).map_err(io("writing the last number"))?;
    folder.tidy().map_err(io("removing what was given up"))?;
    Ok(opened)
}

struct Opening<'a> {
    folder: &'a Folder,
    writer: &'a Writer,
    settings: &'a Settings,
    /// The last commit that is known to have been acknowledged.
    last: u64,
    noted: Noted,
}

impl Opening<'_> {
    /// Less is there than was acknowledged.
    fn damaged(&self, what: &str) -> DiskError {
        let (dir, advice) = (self.folder.dir.display(), self.settings.advice);
        DiskError(format!("the store in {dir} is damaged: {what}. {advice}"))
    }

    /// Reads the state and the log after it. An error says why the state cannot be read at all.
    fn load(&self, log: &Log) -> Result<Loaded, DiskError> {
        if !self.folder.has_state() {
            return Err(DiskError("the folder of its state is missing".into()));
        }
        self.load_into(self.folder.open()?, log)
    }

    fn load_into(&self, engine: Engine, log: &Log) -> Result<Loaded, DiskError> {
        let mut wrong = Vec::new();
        let noted = State::noted(&engine).unwrap_or_else(|error| {
            wrong.push(error.to_string());
            None
        });
        let checkpoint = noted.as_ref().map(|mark| mark.point).unwrap_or_default();
        let read = |error| failed(&self.folder.dir, "reading the log", &error);
        let replayed = log.replay(checkpoint.number).map_err(read)?;
        let form = match noted {
            Some(mark) => Some(mark),
            None => log.mark().map_err(read)?,
        };
        let bulk = form.map_or_else(|| Bulk::of(self.settings.bulk), |mark| mark.bulk);
        let begun = Memory { point: checkpoint, ..Memory::default() };
        let mut state =
            State { engine: Some(engine), active: begun, checkpoint, ..State::default() };
        let point = replayed.point.unwrap_or(checkpoint);
        let mut missing = replayed.missing;
        let lost = missing.iter().map(|lost| (lost.clone(), ""));
        let end = (point.number < self.last).then(|| (point.number + 1)..=self.last);
        let lost: Vec<_> = lost.chain(end.clone().map(|lost| (lost, ", the last ones,"))).collect();
        missing.extend(end);
        // As of the last checkpoint, before which nothing of the log is needed.
        let is_intact = wrong.is_empty()
            && self.settings.confine.is_some()
            && !missing.is_empty()
            && state.digest(&bulk).is_ok_and(|digest| digest == checkpoint.digest);
        for (lost, which) in lost {
            wrong.push(format!("commits {} to {}{which} are missing", lost.start(), lost.end()));
        }
        let bytes = replayed.writes.iter().map(size).sum();
        state.active = Memory { writes: replayed.writes, bytes, point };
        match state.digest(&bulk) {
            // That follows from what is missing.
            Ok(_) if is_intact => {}
            Ok(digest) if digest == point.digest => {}
            Ok(digest) => wrong.push(format!(
                "it has {} records where {} were acknowledged, or older ones",
                digest.records, point.digest.records
            )),
            Err(error) => wrong.push(error.to_string()),
        }
        let goes_on = replayed.ends_clean && replayed.seen == point.number;
        Ok(Loaded { state, bulk, goes_on, wrong, only_missing: is_intact.then_some(missing) })
    }

    /// The record of a loss that concerns only things which are kept apart; `None`: it may concern
    /// anything.
    fn confined(&self, loaded: &Loaded) -> Option<Write> {
        let confine = self.settings.confine?;
        let commits = loaded.only_missing.clone()?;
        let mut subjects = BTreeSet::new();
        for number in commits.iter().cloned().flatten() {
            match self.noted.about(number)? {
                About::These(these) => subjects.extend(these.iter().copied()),
                About::Everything => return None,
            }
        }
        let subjects = subjects.into_iter().collect();
        Some((confine.record)(&Loss { commits, subjects }))
    }

    /// What can be had instead of a state that is damaged, or cannot be read at all: one that is
    /// made from the log, if that has everything.
    fn again(&self, log: &Log, damaged: Result<Loaded, DiskError>) -> Result<Loaded, DiskError> {
        let why = match &damaged {
            Ok(loaded) => loaded.wrong.join("; "),
            Err(why) => why.to_string(),
        };
        let rebuilt = if log.is_whole() && self.settings.on_damage != OnDamage::ReadOnly {
            self.rebuild(log)?
        } else {
            None
        };
        match (rebuilt, damaged) {
            (Some((engine, rebuilt)), damaged) => {
                drop(damaged);
                self.folder.switch(&engine, Replaced::SetAside)?;
                tracing::warn!(folder = %self.folder.dir.display(), why,
                    "the state was damaged, and was made anew from the log: nothing is lost");
                Ok(Loaded { state: State { engine: Some(engine), ..rebuilt.state }, ..rebuilt })
            }
            (None, Ok(loaded)) => Ok(loaded),
            (None, Err(why)) => Err(self.damaged(&why.to_string())),
        }
    }

    /// The state, made from the log in a folder of its own. `None`: the log, too, lacks something.
    fn rebuild(&self, log: &Log) -> Result<Option<(Engine, Loaded)>, DiskError> {
        let mut loaded = self.load_into(self.folder.fresh()?, log)?;
        if !loaded.wrong.is_empty() {
            return Ok(None);
        }
        let point = loaded.state.active.point;
        self.settle(&mut loaded, point)?;
        let engine = loaded.state.engine.take();
        Ok(engine.map(|engine| (engine, loaded)))
    }

    /// Has what is left count as all there is, with `record` beside it.
    fn accept(
        &self,
        loaded: &mut Loaded,
        log: &mut Log,
        record: Option<Write>,
    ) -> Result<(), DiskError> {
        let is_confined = record.is_some();
        loaded.state.active.writes.extend(record);
        let digest = loaded.state.digest(&loaded.bulk)?;
        let left = loaded.state.active.point;
        // No number is given twice.
        let number = left.number.max(self.last) + 1;
        self.settle(loaded, Point { number, digest, ..left })?;
        let mark = Mark { point: loaded.state.active.point, bulk: loaded.bulk.clone() };
        let begun = log.begin(&mark).and_then(|()| log.forget());
        begun.map_err(|error| failed(&self.folder.dir, "beginning the log anew", &error))?;
        loaded.goes_on = true;
        let (folder, lost) = (self.folder.dir.display(), loaded.wrong.join("; "));
        if is_confined {
            tracing::error!(%folder, lost, "less is there than was acknowledged: what it concerns stops");
        } else {
            tracing::warn!(%folder, lost, "what was lost of the store is accepted");
        }
        Ok(())
    }

    /// Writes what is in memory to the engine, as of `point`.
    fn settle(&self, loaded: &mut Loaded, point: Point) -> Result<(), DiskError> {
        let Some(engine) = &loaded.state.engine else { return Ok(()) };
        let mark = Mark { point, bulk: loaded.bulk.clone() };
        let written = self.writer.write_all(engine, &loaded.state.active.writes, &mark);
        written.map_err(|why| failed(&self.folder.dir, "writing the state", &why))?;
        self.writer.forget();
        loaded.state.active = Memory { point, ..Memory::default() };
        loaded.state.checkpoint = point;
        Ok(())
    }
}

fn failed(dir: &Path, what: &str, error: &dyn Display) -> DiskError {
    DiskError(format!("{what} of {} failed: {error}; check the folder and its disk", dir.display()))
}

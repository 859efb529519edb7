//! Opening a store: the state, the log after it, and whether that is all that was acknowledged.

use std::fmt::Display;
use std::io;
use std::path::Path;

use super::acknowledged::Acknowledged;
use super::checkpoint::Writer;
use super::folder::{Engine, Folder, Replaced};
use super::log::{LOG, Log};
use super::point::{Bulk, Mark, Point};
use super::state::{Memory, State, size};
use super::{DiskError, OnDamage, Settings};

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
    let is_new = !folder.has_state() && log.is_empty() && noted.is_none();
    if is_new {
        folder.switch(&folder.fresh()?, Replaced::Remove)?;
    } else if noted.is_none() {
        tracing::warn!(folder = %folder.dir.display(),
            "the note of the last acknowledged commit cannot be read: the log alone tells");
    }
    let opening = Opening { folder, writer, settings, last: noted.unwrap_or_default() };
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
            OnDamage::Refuse => return Err(damage),
            OnDamage::ReadOnly => return Ok(opened(log, loaded.state, loaded.bulk, Some(damage))),
            OnDamage::Accept => opening.accept(&mut loaded, &mut log)?,
        }
    }
    let mark = Mark { point: loaded.state.active.point, bulk: loaded.bulk.clone() };
    let begun = |log: &mut Log| {
        log.sync()?;
        if loaded.goes_on { log.go_on() } else { log.begin(&mark) }
    };
    begun(&mut log).map_err(io("beginning a segment of the log"))?;
    let opened = opened(log, loaded.state, loaded.bulk, None);
    opened.acknowledged.reset(mark.point.number).map_err(io("writing the last number"))?;
    folder.tidy().map_err(io("removing what was given up"))?;
    Ok(opened)
}

struct Opening<'a> {
    folder: &'a Folder,
    writer: &'a Writer,
    settings: &'a Settings,
    /// The last commit that is known to have been acknowledged.
    last: u64,
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
        for missing in &replayed.missing {
            wrong.push(format!("commits {} to {} are missing", missing.start(), missing.end()));
        }
        let point = replayed.point.unwrap_or(checkpoint);
        if point.number < self.last {
            let (first, last) = (point.number + 1, self.last);
            wrong.push(format!("commits {first} to {last}, the last ones, are missing"));
        }
        let bytes = replayed.writes.iter().map(size).sum();
        let active = Memory { writes: replayed.writes, bytes, point };
        let state = State { engine: Some(engine), active, checkpoint, ..State::default() };
        match state.digest(&bulk) {
            Ok(digest) if digest == point.digest => {}
            Ok(digest) => wrong.push(format!(
                "it has {} records where {} were acknowledged, or older ones",
                digest.records, point.digest.records
            )),
            Err(error) => wrong.push(error.to_string()),
        }
        let goes_on = replayed.ends_clean && replayed.seen == point.number;
        Ok(Loaded { state, bulk, goes_on, wrong })
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

    /// Has what is left count as all there is.
    fn accept(&self, loaded: &mut Loaded, log: &mut Log) -> Result<(), DiskError> {
        let digest = loaded.state.digest(&loaded.bulk)?;
        let left = loaded.state.active.point;
        // No number is given twice.
        let number = left.number.max(self.last) + 1;
        self.settle(loaded, Point { number, digest, ..left })?;
        let mark = Mark { point: loaded.state.active.point, bulk: loaded.bulk.clone() };
        let begun = log.begin(&mark).and_then(|()| log.forget());
        begun.map_err(|error| failed(&self.folder.dir, "beginning the log anew", &error))?;
        loaded.goes_on = true;
        tracing::warn!(folder = %self.folder.dir.display(), lost = loaded.wrong.join("; "),
            "what was lost of the store is accepted");
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

//! The commit thread under thousands of schedules: the same files, with shuttle's threads and locks.

#![expect(clippy::duplicate_mod, reason = "what is checked is what is used, with other locks")]

#[path = "../commit.rs"]
mod commit;
#[path = "../queue.rs"]
#[expect(unreachable_pub, reason = "public where the store is")]
mod queue;
mod sync {
    pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    pub(super) use shuttle::thread;
}
#[path = "../work.rs"]
mod work;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::sync::Mutex;
use shuttle::thread;

use self::commit::{Commits, Medium, Writes};
use self::queue::{Line, SHARED, Size};
use super::{DiskError, Write};

const MOST: Size = Size { jobs: 64, bytes: 1 << 10 };
const BATCH: Size = Size { jobs: 3, bytes: 1 << 10 };

/// Random schedules find much; those with few switches at the worst places find the rest. The
/// schedule that fails is printed, for `shuttle::replay`.
fn check(test: impl Fn() + Send + Sync + Copy + 'static) {
    shuttle::check_random(test, 1_000);
    shuttle::check_pct(test, 1_000, 3);
}

/// A disk: what is flushed, what is on its way, and which flush fails.
#[derive(Default)]
struct Platter {
    flushed: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    batches: Mutex<Vec<usize>>,
    fails_at: Option<usize>,
}

impl Platter {
    fn has(&self, key: &str) -> bool {
        self.flushed.lock().unwrap().contains_key(key.as_bytes())
    }
}

impl Medium for Platter {
    type View<'a> = (BTreeMap<Vec<u8>, Vec<u8>>, &'a Writes);

    fn admit(&self) -> Result<(), DiskError> {
        Ok(())
    }

    fn view<'a>(&'a self, written: &'a Writes) -> Self::View<'a> {
        (self.flushed.lock().unwrap().clone(), written)
    }

    fn write(&self, writes: Writes) -> Result<(), DiskError> {
        let nth = {
            let mut batches = self.batches.lock().unwrap();
            batches.push(writes.len());
            batches.len()
        };
        // A flush takes its time, in which anything may happen.
        thread::yield_now();
        if self.fails_at == Some(nth) {
            return Err(DiskError(format!("flush {nth} failed")));
        }
        for (key, value) in writes {
            let mut flushed = self.flushed.lock().unwrap();
            match value {
                Some(value) => flushed.insert(key, value),
                None => flushed.remove(&key),
            };
        }
        Ok(())
    }

    fn took(&self, _took: Duration) {}
}

fn start(fails_at: Option<usize>) -> (Arc<Platter>, Arc<Commits<Platter>>) {
    let platter = Arc::new(Platter { fails_at, ..Platter::default() });
    let commits = Commits::start(Arc::clone(&platter), MOST, MOST, BATCH).unwrap();
    (platter, Arc::new(commits))
}

type Answer = Result<Result<(), u8>, DiskError>;

fn put(commits: &Commits<Platter>, key: &str) -> impl Future<Output = Answer> + use<> {
    let write: Write = (key.into(), Some(Vec::new()));
    commits.transact(Line::In(SHARED), 1, move |_| Ok(Ok(vec![write])))
}

/// Adds one to a counter, and refuses from `most` on.
fn count(commits: &Commits<Platter>, most: u8) -> impl Future<Output = Answer> + use<> {
    commits.transact(
        Line::In(SHARED),
        1,
        move |(flushed, written): &(BTreeMap<Vec<u8>, Vec<u8>>, &Writes)| {
            let key = b"n".to_vec();
            let found = match written.get(&key) {
                Some(value) => value.clone(),
                None => flushed.get(&key).cloned(),
            };
            let n = found.map_or(0, |value| value[0]);
            Ok(if n < most { Ok(vec![(key, Some(vec![n + 1]))]) } else { Err(n) })
        },
    )
}

#[test]
fn an_answer_comes_once_and_after_the_flush() {
    check(|| {
        let (platter, commits) = start(None);
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (platter, commits) = (Arc::clone(&platter), Arc::clone(&commits));
                thread::spawn(move || {
                    let keys = [format!("{writer}/a"), format!("{writer}/b")];
                    let answers = keys.clone().map(|key| put(&commits, &key));
                    for (key, answer) in keys.iter().zip(answers) {
                        assert_eq!(block_on(answer), Ok(Ok(())));
                        assert!(platter.has(key), "{key} was acknowledged before it was flushed");
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let written: usize = platter.batches.lock().unwrap().iter().sum();
        assert_eq!(written, 6, "each is written once");
    });
}

#[test]
fn what_one_writer_hands_in_is_written_in_its_order() {
    check(|| {
        let (platter, commits) = start(None);
        let writers: Vec<_> = (0..2)
            .map(|writer: u8| {
                let commits = Arc::clone(&commits);
                thread::spawn(move || {
                    let answers = [1, 2, 3, 4].map(|n| {
                        let write: Write = (vec![writer], Some(vec![n]));
                        commits.transact(Line::In(SHARED), 1, move |_| Ok(Ok::<_, u8>(vec![write])))
                    });
                    assert_eq!(answers.map(block_on), [const { Ok(Ok(())) }; 4]);
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let flushed = platter.flushed.lock().unwrap();
        assert_eq!((&flushed[&vec![0]], &flushed[&vec![1]]), (&vec![4], &vec![4]));
    });
}

#[test]
fn decisions_are_made_in_order_on_what_was_queued_before() {
    check(|| {
        let (platter, commits) = start(None);
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let commits = Arc::clone(&commits);
                thread::spawn(move || [count(&commits, 4), count(&commits, 4)].map(block_on))
            })
            .collect();
        let answers: Vec<Answer> =
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        assert_eq!(answers.iter().filter(|answer| **answer == Ok(Ok(()))).count(), 4);
        assert_eq!(answers.iter().filter(|answer| **answer == Ok(Err(4))).count(), 2);
        assert_eq!(platter.flushed.lock().unwrap()[b"n".as_slice()], [4]);
    });
}

#[test]
fn a_refusal_is_answered_after_what_it_saw_is_flushed() {
    check(|| {
        let (platter, commits) = start(None);
        let first = thread::spawn({
            let commits = Arc::clone(&commits);
            move || block_on(count(&commits, 1))
        });
        let second = block_on(count(&commits, 1));
        assert!(platter.has("n"), "a refusal came before what it is founded on was flushed");
        let answers = [first.join().unwrap(), second];
        assert!(answers.contains(&Ok(Ok(()))) && answers.contains(&Ok(Err(1))), "{answers:?}");
    });
}

#[test]
fn a_flush_that_fails_is_told_to_all_of_its_batch_and_to_nobody_else() {
    check(|| {
        let (platter, commits) = start(Some(2));
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (platter, commits) = (Arc::clone(&platter), Arc::clone(&commits));
                thread::spawn(move || {
                    let keys = [format!("{writer}/a"), format!("{writer}/b")];
                    let answers = keys.clone().map(|key| put(&commits, &key));
                    let told = keys.iter().zip(answers).map(|(key, answer)| {
                        let answer = block_on(answer);
                        assert_eq!(answer.is_ok(), platter.has(key), "{key}: {answer:?}");
                        answer
                    });
                    told.filter(Result::is_err).count()
                })
            })
            .collect();
        let told: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        assert_eq!(told, platter.batches.lock().unwrap()[1]);
    });
}

#[test]
fn the_end_waits_for_what_is_queued_and_answers_everyone() {
    check(|| {
        let (platter, commits) = start(None);
        let others = thread::spawn({
            let commits = Arc::clone(&commits);
            move || {
                drop(put(&commits, "unheard"));
                [put(&commits, "a"), put(&commits, "b")]
            }
        });
        let own = put(&commits, "c");
        drop(commits);
        let theirs = others.join().unwrap();
        for key in ["unheard", "a", "b", "c"] {
            assert!(platter.has(key), "the store was closed and {key} was not flushed");
        }
        assert_eq!(block_on(own), Ok(Ok(())));
        assert_eq!(theirs.map(block_on), [Ok(Ok(())), Ok(Ok(()))]);
    });
}

#[test]
fn the_last_handle_may_go_inside_a_decision() {
    check(|| {
        let (platter, commits) = start(None);
        let inside = Arc::clone(&commits);
        let answer = commits.transact(Line::In(SHARED), 1, move |_| {
            drop(inside);
            Ok(Ok::<_, u8>(vec![("k".into(), Some(Vec::new()))]))
        });
        drop(commits);
        assert_eq!(block_on(answer), Ok(Ok(())));
        assert!(platter.has("k"));
    });
}

#[test]
fn a_full_queue_answers_at_once() {
    check(|| {
        let platter = Arc::new(Platter::default());
        let most = Size { jobs: 1, bytes: 1 << 10 };
        let commits = Arc::new(Commits::start(Arc::clone(&platter), most, most, BATCH).unwrap());
        let writers: Vec<_> = ["a", "b", "c"]
            .map(|key| {
                let (platter, commits) = (Arc::clone(&platter), Arc::clone(&commits));
                thread::spawn(move || {
                    let answer = block_on(put(&commits, key));
                    assert_eq!(answer.is_ok(), platter.has(key));
                    assert!(answer.is_ok() || answer.unwrap_err().0.contains("too slow"));
                })
            })
            .into();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
}

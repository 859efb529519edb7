//! The commit queue by itself: bounds, order, refusals and its end.

use crate::Size;
use crate::queue::{Line, Queue, SHARED};

fn queue() -> Queue<u32> {
    Queue::new(
        Size { jobs: 5, bytes: 100 },
        Size { jobs: 5, bytes: 100 },
        Size { jobs: 3, bytes: 30 },
    )
}

#[test]
fn batches_are_bounded_and_in_order() {
    let queue = queue();
    for (job, bytes) in [(1, 10), (2, 15), (3, 10), (4, 60), (5, 1)] {
        queue.push(Line::In(SHARED), job, bytes).unwrap();
    }
    queue.close();
    let mut batches = Vec::new();
    queue.serve(|batch| batches.push(batch), || None);
    assert_eq!(batches, [vec![1, 2], vec![3], vec![4], vec![5]]);
}

#[test]
fn a_full_queue_refuses_and_says_why() {
    let queue = queue();
    queue.push(Line::In(SHARED), 0, 1000).unwrap();
    let (job, why) = queue.push(Line::In(SHARED), 1, 1).unwrap_err();
    assert_eq!(job, 1);
    assert!(why.contains("1 writes of 1000 bytes"), "{why}");
}

#[test]
fn a_closed_queue_takes_nothing_more() {
    let queue = queue();
    queue.close();
    assert!(queue.push(Line::In(SHARED), 1, 1).is_err());
}

#[test]
fn a_chore_is_done_though_no_job_comes() {
    let queue = queue();
    let mut chores = 0;
    let chore = || {
        chores += 1;
        if chores == 3 {
            queue.close();
        }
        Some(std::time::Duration::from_millis(1))
    };
    queue.serve(|_| panic!("there are no jobs"), chore);
    assert_eq!(chores, 3);
}

#[test]
fn what_waits_is_let_go_when_the_serving_thread_panics() {
    let queue = Queue::new(
        Size { jobs: 9, bytes: 9 },
        Size { jobs: 9, bytes: 9 },
        Size { jobs: 1, bytes: 9 },
    );
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    queue.push(Line::In(SHARED), sender.clone(), 1).unwrap();
    queue.push(Line::In(SHARED), sender, 1).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        queue.serve(|_| panic!("on purpose"), || None);
    }));
    assert!(panicked.is_err());
    assert!(receiver.recv().is_err(), "every sender is gone");
}

#[test]
fn many_threads_lose_and_reorder_nothing() {
    let most = Size { jobs: 4096, bytes: 1 << 20 };
    let queue = Queue::new(most, most, Size { jobs: 7, bytes: 64 });
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let mut seen = Vec::new();
            queue.serve(|batch| seen.extend(batch), || None);
            seen
        });
        let writers: Vec<_> = (0..8_u32)
            .map(|writer| {
                let queue = &queue;
                scope.spawn(move || {
                    (0..200_u32)
                        .for_each(|n| queue.push(Line::In(SHARED), (writer, n), 3).unwrap());
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        queue.close();
        seen = server.join().unwrap();
    });
    assert_eq!(seen.len(), 1600);
    for writer in 0..8 {
        let own: Vec<u32> = seen.iter().filter(|(w, _)| *w == writer).map(|(_, n)| *n).collect();
        assert!(own.is_sorted());
    }
}

fn lane(number: u8) -> Line {
    Line::In([number; 16])
}

/// A queue that takes one job at a time.
fn one_by_one() -> Queue<u32> {
    let most = Size { jobs: 9, bytes: 90 };
    Queue::new(most, Size { jobs: 4, bytes: 40 }, Size { jobs: 1, bytes: 90 })
}

fn served(queue: &Queue<u32>) -> Vec<u32> {
    queue.close();
    let mut served = Vec::new();
    queue.serve(|batch| served.extend(batch), || None);
    served
}

#[test]
fn one_lane_that_queues_much_waits_for_itself() {
    let queue = one_by_one();
    for job in 0..4 {
        queue.push(lane(1), job, 1).unwrap();
    }
    queue.push(lane(2), 10, 1).unwrap();
    assert_eq!(served(&queue), [0, 10, 1, 2, 3]);
}

#[test]
fn a_lane_is_refused_what_others_may_still_queue() {
    let queue = one_by_one();
    for job in 0..4 {
        queue.push(lane(1), job, 1).unwrap();
    }
    let (_, why) = queue.push(lane(1), 4, 1).unwrap_err();
    assert!(why.contains("4 writes of 4 bytes"), "{why}");
    queue.push(lane(2), 10, 30).unwrap();
    assert!(queue.push(lane(2), 11, 11).is_err(), "nor more bytes");
    assert_eq!(served(&queue).len(), 5);
}

#[test]
fn what_stands_after_all_divides_what_came_before_from_what_comes_later() {
    let queue = one_by_one();
    for job in 0..3 {
        queue.push(lane(1), job, 1).unwrap();
    }
    queue.push(Line::AfterAll, 10, 1).unwrap();
    queue.push(lane(2), 20, 1).unwrap();
    queue.push(lane(1), 3, 1).unwrap();
    assert_eq!(served(&queue), [0, 1, 2, 10, 20, 3]);
}

//! The commit queue by itself: bounds, order, refusals and its end.

use crate::disk::Size;
use crate::disk::queue::Queue;

fn queue() -> Queue<u32> {
    Queue::new(Size { jobs: 5, bytes: 100 }, Size { jobs: 3, bytes: 30 })
}

#[test]
fn batches_are_bounded_and_in_order() {
    let queue = queue();
    for (job, bytes) in [(1, 10), (2, 15), (3, 10), (4, 60), (5, 1)] {
        queue.push(job, bytes).unwrap();
    }
    queue.close();
    let mut batches = Vec::new();
    queue.serve(|batch| batches.push(batch), || None);
    assert_eq!(batches, [vec![1, 2], vec![3], vec![4], vec![5]]);
}

#[test]
fn a_full_queue_refuses_and_says_why() {
    let queue = queue();
    queue.push(0, 1000).unwrap();
    let (job, why) = queue.push(1, 1).unwrap_err();
    assert_eq!(job, 1);
    assert!(why.contains("1 writes of 1000 bytes"), "{why}");
}

#[test]
fn a_closed_queue_takes_nothing_more() {
    let queue = queue();
    queue.close();
    assert!(queue.push(1, 1).is_err());
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
    let queue = Queue::new(Size { jobs: 9, bytes: 9 }, Size { jobs: 1, bytes: 9 });
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    queue.push(sender.clone(), 1).unwrap();
    queue.push(sender, 1).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        queue.serve(|_| panic!("on purpose"), || None);
    }));
    assert!(panicked.is_err());
    assert!(receiver.recv().is_err(), "every sender is gone");
}

#[test]
fn many_threads_lose_and_reorder_nothing() {
    let queue = Queue::new(Size { jobs: 4096, bytes: 1 << 20 }, Size { jobs: 7, bytes: 64 });
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
                    (0..200_u32).for_each(|n| queue.push((writer, n), 3).unwrap());
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

//! Runs jobs on all processors.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    thread,
};

/// Runs all jobs and returns their results in order; `None` for a job that panicked.
pub(super) fn run_all<T: Send>(jobs: Vec<impl FnOnce() -> T + Send>) -> Vec<Option<T>> {
    let results: Vec<Mutex<Option<T>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let jobs = Mutex::new(jobs.into_iter().enumerate());
    let work = || {
        loop {
            let next = jobs.lock().unwrap().next();
            let Some((number, job)) = next else { return };
            *results[number].lock().unwrap() = catch_unwind(AssertUnwindSafe(job)).ok();
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(work);
        }
    });
    results.into_iter().map(|result| result.into_inner().unwrap()).collect()
}

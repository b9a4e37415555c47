//! Runs one future in the background of another.

use std::{future::poll_fn, pin::pin, task::Poll};

/// Runs `background` for as long as `work` runs, and returns the output of `work`.
///
/// Each poll polls `work` first. `background` is dropped as soon as `work` completes; if `background` completes first,
/// `work` continues alone.
pub(crate) async fn with_background<T>(work: impl Future<Output = T>, background: impl Future<Output = ()>) -> T {
    let (mut work, mut background) = (pin!(work), pin!(background));
    let mut has_background = true;
    poll_fn(move |context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        if has_background && background.as_mut().poll(context).is_ready() {
            has_background = false;
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        sync::mpsc,
        time::{sleep, timeout},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn background_runs_while_work_runs() {
        let (ticks, mut counted) = mpsc::unbounded_channel();
        let ticking = async {
            loop {
                sleep(Duration::from_secs(1)).await;
                ticks.send(()).unwrap();
            }
        };
        let output = with_background(
            async {
                sleep(Duration::from_millis(3_500)).await;
                7
            },
            ticking,
        )
        .await;
        assert_eq!(output, 7);
        assert_eq!(counted.recv_many(&mut Vec::new(), 10).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn work_continues_after_background_completes() {
        let work = sleep(Duration::from_secs(5));
        timeout(Duration::from_secs(6), with_background(work, async {})).await.unwrap();
    }

    #[tokio::test]
    async fn background_is_not_polled_once_work_is_done() {
        let background = async { panic!("polled after the work was done") };
        assert_eq!(with_background(async { 1 }, background).await, 1);
    }
}

//! The groups that a receiver offers, on their way to the comparison.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

use super::requested_files::StagedFile;
use crate::{
    disk::{GroupHash, group_count},
    sync::Mutex,
    wire::{
        WireError,
        peer::{GROUPS_PER_PAGE, MAX_UNANSWERED_GROUPS, StagedGroups},
    },
};

/// Pages of groups, from the reading side of a download to the comparison. A handle: clones share the queue.
///
/// The receiver sends the pages of one staged file after another. It leaves out the rest of a file that it learns to be
/// decided. Pages of such a file that are on their way are dropped.
#[derive(Clone)]
pub(super) struct GroupQueue(Arc<SharedQueue>);

struct SharedQueue {
    state: Mutex<QueueState>,
    page_arrived: Notify,
}

struct QueueState {
    /// Entry number and number of groups of each staged file, in the receiver's order.
    files: Vec<(u32, u64)>,
    /// The number of decided files: the index of the file that is compared now.
    decided: usize,
    /// The index of the file whose groups arrive, and how many of its groups have arrived.
    arriving: (usize, u64),
    /// Pages that are not compared, of file `decided` and of those behind it.
    pages: VecDeque<(usize, Vec<GroupHash>)>,
}

impl GroupQueue {
    pub(super) fn new(staged: &[StagedFile]) -> Self {
        let files = staged.iter().map(|file| (file.entry, group_count(file.bytes))).collect();
        let state = QueueState { files, decided: 0, arriving: (0, 0), pages: VecDeque::new() };
        Self(Arc::new(SharedQueue { state: Mutex::new(state), page_arrived: Notify::new() }))
    }

    /// Adds a page that has arrived.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if it is not the next page of its file, or a file before it is incomplete and not
    /// decided; [`WireError::TooLong`] if the receiver has sent more groups than it may without an answer.
    pub(super) fn push(&self, page: StagedGroups) -> Result<(), WireError> {
        self.0.state.lock().push(page)?;
        self.0.page_arrived.notify_one();
        Ok(())
    }

    /// Waits for the next page of the file that is compared now.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, no page is lost.
    pub(super) async fn next(&self) -> Vec<GroupHash> {
        loop {
            if let Some(page) = self.0.state.lock().next() {
                return page;
            }
            self.0.page_arrived.notified().await;
        }
    }

    /// Drops all other pages of the file that is compared now, and continues with the next file.
    pub(super) fn decide(&self) {
        let mut state = self.0.state.lock();
        state.decided += 1;
        let decided = state.decided;
        state.pages.retain(|(file, _)| *file >= decided);
    }
}

impl QueueState {
    fn push(&mut self, StagedGroups { entry, groups }: StagedGroups) -> Result<(), WireError> {
        let (mut file, mut arrived) = self.arriving;
        loop {
            let &(number, count) = self.files.get(file).ok_or(WireError::Malformed)?;
            let is_complete = arrived == count;
            if number == entry && !is_complete {
                if groups.len() as u64 != (count - arrived).min(GROUPS_PER_PAGE as u64) {
                    return Err(WireError::Malformed);
                }
                break;
            }
            if !is_complete && file >= self.decided {
                return Err(WireError::Malformed);
            }
            (file, arrived) = (file + 1, 0);
        }
        self.arriving = (file, arrived + groups.len() as u64);
        if file < self.decided {
            return Ok(());
        }
        let queued: usize = self.pages.iter().map(|(_, groups)| groups.len()).sum();
        if queued + groups.len() > MAX_UNANSWERED_GROUPS {
            return Err(WireError::TooLong);
        }
        self.pages.push_back((file, groups));
        Ok(())
    }

    fn next(&mut self) -> Option<Vec<GroupHash>> {
        let (file, _) = self.pages.front()?;
        if *file == self.decided { self.pages.pop_front().map(|(_, groups)| groups) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::*;
    use crate::disk::GROUP_SIZE;

    const PAGE: u64 = GROUPS_PER_PAGE as u64;

    /// Returns the queue of staged files with these numbers of groups. Their entry numbers are 10, 11, and so on.
    fn queue_of(groups: &[u64]) -> GroupQueue {
        let staged = |(entry, groups): (u32, &u64)| StagedFile { entry, bytes: groups * GROUP_SIZE };
        GroupQueue::new(&(10..).zip(groups).map(staged).collect::<Vec<_>>())
    }

    fn page(entry: u32, groups: u64) -> StagedGroups {
        StagedGroups { entry, groups: vec![[entry as u8; 32]; groups as usize] }
    }

    #[test]
    fn pages_out_of_order_or_of_another_length_are_refused() {
        for (first, refused) in [
            (None, page(9, PAGE)),
            (None, page(11, 2)),
            (None, page(10, 0)),
            (None, page(10, PAGE - 1)),
            (None, page(10, PAGE + 1)),
            (Some(page(10, PAGE)), page(10, PAGE)),
            (Some(page(10, PAGE)), page(11, 2)),
            (Some(page(10, PAGE)), page(10, 2)),
        ] {
            let queue = queue_of(&[PAGE + 1, 2]);
            first.clone().into_iter().for_each(|first| queue.push(first).unwrap());
            assert_eq!(queue.push(refused.clone()), Err(WireError::Malformed), "{refused:?} after {first:?}");
        }
        let queue = queue_of(&[1, 2]);
        queue.push(page(10, 1)).unwrap();
        assert_eq!(queue.push(page(10, 1)), Err(WireError::Malformed), "a file twice");
        queue.push(page(11, 2)).unwrap();
        assert_eq!(queue.push(page(11, 2)), Err(WireError::Malformed), "behind the last file");
    }

    #[test]
    fn more_groups_than_may_be_without_an_answer_are_refused() {
        let pages = MAX_UNANSWERED_GROUPS / GROUPS_PER_PAGE;
        let queue = queue_of(&[PAGE * (pages as u64 + 2)]);
        (0..pages).for_each(|_| queue.push(page(10, PAGE)).unwrap());
        assert_eq!(queue.push(page(10, PAGE)), Err(WireError::TooLong));
    }

    #[test]
    fn pages_of_a_decided_file_are_dropped_and_bounded() {
        let queue = queue_of(&[PAGE * 3, 1]);
        queue.push(page(10, PAGE)).unwrap();
        queue.push(page(10, PAGE)).unwrap();
        queue.decide();
        queue.push(page(10, PAGE)).unwrap(); // was on its way
        assert_eq!(queue.push(page(10, PAGE)), Err(WireError::Malformed), "the file has no more groups");
        let queue = queue_of(&[PAGE * 3, 1]);
        queue.decide();
        queue.push(page(11, 1)).unwrap();
        assert_eq!(queue.push(page(10, PAGE)), Err(WireError::Malformed), "a file before the last one");
    }

    proptest! {
        /// The receiver offers the files one after another and skips the rest of a file once it knows that it is
        /// decided. The comparison decides files after a random number of pages.
        #[test]
        fn the_comparison_gets_the_pages_of_each_file_up_to_its_decision(
            files in proptest::collection::vec((1..PAGE * 4, 0..5_u64, 0..5_u64), 1..6),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let queue = queue_of(&files.iter().map(|(groups, ..)| *groups).collect::<Vec<_>>());
                for (entry, (groups, decided_after, late)) in (10..).zip(files) {
                    let pages: Vec<_> = (0..groups).step_by(GROUPS_PER_PAGE).map(|n| PAGE.min(groups - n)).collect();
                    let compared = pages.len().min(1 + decided_after as usize);
                    let (mut arriving, mut is_first) = (pages.iter(), true);
                    for length in &pages[..compared] {
                        // One page is ahead of the comparison.
                        for length in arriving.by_ref().take(if is_first { 2 } else { 1 }) {
                            queue.push(page(entry, *length)).unwrap();
                        }
                        is_first = false;
                        let next = timeout(std::time::Duration::from_secs(1), queue.next()).await.unwrap();
                        assert_eq!(next, page(entry, *length).groups);
                    }
                    queue.decide();
                    arriving.take(late as usize).for_each(|length| queue.push(page(entry, *length)).unwrap());
                }
            });
        }
    }
}

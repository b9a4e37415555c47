//! The accept loop of a share: it serves the streams that its relay opens, over one connection after another, and those
//! of the relay in this process beside them.

use std::sync::Arc;

use tokio::{task::JoinSet, time::timeout};

use super::{
    admission::serve_stream,
    nearby::{NearbyLoop, NearbyRelay},
    registration::Registration,
    reregister::{ActiveRegistration, ReregisterConfig, reregister},
    share::Share,
    share_end::ShareEnd,
};
use crate::{
    background::with_background,
    error::Result,
    event::StopReason,
    net::{Connection, ConnectionLost, StreamError},
    transfer::{
        backoff::{RetryDriver, Urgency},
        timeouts::{LEG_SILENCE_TIMEOUT, SHARE_CLOSE_TIMEOUT},
    },
    wire::reset_code::ENDED,
};

impl Share {
    /// Serves receivers until the share ends. When the connection to the relay is lost, the share registers again as
    /// `config` says. Without a `config`, the relay is in this process, and the share ends with it. `nearby` is a
    /// second relay, in this process.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted) if `interrupt` completes while a download runs;
    /// [`Kind::Refused`](crate::error::Kind::Refused) if the code was guessed wrongly too often;
    /// [`Kind::Network`](crate::error::Kind::Network) if a relay in this process has failed.
    pub async fn run(
        self: &Arc<Self>,
        registration: Registration,
        config: Option<ReregisterConfig>,
        nearby: Option<NearbyRelay>,
        interrupt: impl Future<Output = ()>,
    ) -> Result<StopReason> {
        tokio::pin!(interrupt);
        let mut accept_loop = AcceptLoop {
            share: self,
            config: config.as_ref(),
            active: ActiveRegistration { registration, connection: None },
            streams: JoinSet::new(),
        };
        let mut nearby = nearby.map(NearbyLoop::new);
        let mut end = tokio::select! {
            () = run_both(&mut accept_loop, nearby.as_mut()) => ShareEnd::RelayFailed, // the share is not closing yet
            end = self.wait_for_end() => end,
            () = &mut interrupt => self.interrupted(),
        };
        self.begin_closing();
        if end.lets_downloads_finish() {
            self.set_ended();
            // The slot is not released yet: a receiver that loses its connection needs it to reattach.
            tokio::select! {
                () = run_both(&mut accept_loop, nearby.as_mut()) => {}
                () = &mut interrupt => {
                    if self.capacity().downloads().running() > 0 {
                        end = self.interrupted();
                    }
                }
            }
        }
        self.begin_ending();
        shut_down(accept_loop, nearby).await;
        end.into_result(self.incomplete_downloads())
    }
}

struct AcceptLoop<'a> {
    share: &'a Arc<Share>,
    /// How to register again; `None` if the relay is in this process.
    config: Option<&'a ReregisterConfig>,
    active: ActiveRegistration,
    /// The streams that are being served.
    streams: JoinSet<()>,
}

impl AcceptLoop<'_> {
    /// Serves streams over one connection after another. Returns when the share is closing and no stream is left, or
    /// when a relay in this process has failed.
    async fn run(&mut self) {
        let Some(config) = self.config else {
            self.serve_connection().await;
            return;
        };
        let mut retry = RetryDriver::new(self.share.events().clone(), Urgency::Idle);
        while let Some(lost) = self.serve_connection().await {
            self.active.registration.connection.close();
            let ticket = self.active.registration.ticket().to_vec();
            let drained = async {
                self.share.wait_until_closing().await;
                join_streams(&mut self.streams).await;
            };
            tokio::select! {
                active = reregister(self.share, config, &mut retry, ticket, lost) => self.active = active,
                () = drained => return,
            }
        }
    }

    /// Serves each stream that the relay opens on the current connection. Returns when the connection is lost, or with
    /// `None` when the share is closing and no stream is left.
    async fn serve_connection(&mut self) -> Option<ConnectionLost> {
        let connection = &self.active.registration.connection;
        let silence = wait_until_silent(connection, self.share);
        tokio::pin!(silence);
        while !(self.share.is_closing() && self.streams.is_empty()) {
            let stream = tokio::select! {
                stream = connection.accept_stream() => stream,
                Some(_) = self.streams.join_next() => continue,
                lost = &mut silence => return Some(lost),
            };
            match stream {
                Ok(stream) => {
                    self.streams.spawn(serve_stream(Arc::clone(self.share), stream));
                }
                Err(StreamError::Lost(lost)) => return Some(lost),
                Err(_) => return Some(ConnectionLost::TimedOut), // unreachable: only a lost connection fails
            }
        }
        None
    }
}

/// Serves the streams of both relays. Returns when the share is closing and no stream is left, or when its only relay
/// has failed.
async fn run_both(accept_loop: &mut AcceptLoop<'_>, nearby: Option<&mut NearbyLoop>) {
    let share = accept_loop.share;
    let run_nearby = async {
        if let Some(nearby) = nearby {
            nearby.run(share).await;
        }
    };
    tokio::join!(accept_loop.run(), run_nearby);
}

/// Waits for the end of all streams, releases the slots, and closes the connection.
async fn shut_down(accept_loop: AcceptLoop<'_>, nearby: Option<NearbyLoop>) {
    let AcceptLoop { active: ActiveRegistration { registration, connection }, streams, .. } = accept_loop;
    let end_nearby = async {
        if let Some(NearbyLoop { registration: Some(registration), streams, .. }) = nearby {
            end_registration(registration, streams).await;
        }
    };
    tokio::join!(end_registration(registration, streams), end_nearby);
    if let Some(connection) = connection {
        connection.close().await;
    }
}

/// Waits for the end of the streams of a registration, and releases its slot.
async fn end_registration(mut registration: Registration, mut streams: JoinSet<()>) {
    let accepting = registration.connection.clone();
    let refuse_streams = async {
        // The relay may open streams until it learns of the end.
        while let Ok((mut send, _)) = accepting.accept_stream().await {
            send.reset(ENDED);
        }
    };
    let end = async {
        // The share has ended, whether its streams end in time or not.
        let _ = timeout(SHARE_CLOSE_TIMEOUT, join_streams(&mut streams)).await;
        // The close discards what has not been sent. The relay confirms the release behind the resets of the streams.
        registration.release().await;
    };
    with_background(end, refuse_streams).await;
}

/// Waits until the relay has been silent for [`LEG_SILENCE_TIMEOUT`] while a session exists. Without a session only a
/// closed connection counts as lost.
async fn wait_until_silent(connection: &Connection, share: &Share) -> ConnectionLost {
    loop {
        let lost = connection.wait_until_silent(LEG_SILENCE_TIMEOUT).await;
        if connection.is_closed() || !share.sessions().is_empty() {
            return lost;
        }
    }
}

async fn join_streams(streams: &mut JoinSet<()>) {
    while streams.join_next().await.is_some() {}
}

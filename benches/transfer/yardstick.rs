//! What the machine gives to QUIC alone: bytes over one stream from a process to each of some others, and nothing else.
//!
//! All processes are this program again, called with another argument.

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use quinn::{ClientConfig, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Result,
    case::Outcome,
    process::{Process, Usage},
};

const WRITER: &str = "--yardstick-writer";
const READER: &str = "--yardstick-reader";
const NAME: &str = "yardstick";

/// As in the program itself; quinn's default would not change much on loopback.
const WINDOW: u32 = 16 * 1024 * 1024;

/// Bytes in one write.
const CHUNK: usize = 256 * 1024;

/// Measures so many bytes to each of so many readers, once.
pub(super) fn run(bytes: u64, readers: usize) -> Result<Outcome> {
    let this = env::current_exe()?;
    let mut command = Command::new(&this);
    command.args([WRITER, &bytes.to_string()]);
    let mut reading = Vec::new();
    for _ in 0..readers {
        let reader = Process::start("reader", Command::new(&this).arg(READER))?;
        let (_, listening) = reader.event("listening")?;
        let (Some(addr), Some(certificate)) = (listening["addr"].as_str(), listening["certificate"].as_str()) else {
            return Err("the reader does not say where it listens".into());
        };
        command.args([addr, certificate]);
        reading.push(reader);
    }
    let began = Instant::now();
    let writer = Process::start("writer", &mut command)?;
    let (ended, _) = writer.event("finished")?;
    let sender = writer.finish()?;
    let used = reading.into_iter().map(Process::finish).collect::<Result<Vec<_>>>()?;
    let seconds = vec![(ended - began).as_secs_f64()];
    let (bytes, receivers) = (bytes * readers as u64, Usage::of_all(&used));
    Ok(Outcome { bytes, fairness: None, seconds, sender, receivers, ..Outcome::default() })
}

/// One end of a stream, in a process of its own.
pub(super) enum End<'a> {
    Writer(&'a [String]),
    Reader,
}

impl<'a> End<'a> {
    /// What this process was started for, if it was.
    pub(super) fn parse(words: &'a [String]) -> Option<Self> {
        match words.split_first() {
            Some((first, rest)) if first == WRITER => Some(Self::Writer(rest)),
            Some((first, _)) if first == READER => Some(Self::Reader),
            _ => None,
        }
    }

    pub(super) fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match self {
            Self::Reader => runtime.block_on(read()),
            Self::Writer([bytes, readers @ ..]) => runtime.block_on(write_to_all(readers, bytes.parse()?)),
            Self::Writer([]) => {
                Err("the writer needs a number, and an address and a certificate for each reader".into())
            }
        }
    }
}

async fn read() -> Result<()> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::with_single_cert(vec![made.cert.der().clone()], key)?;
    config.transport_config(transport());
    let endpoint = Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let certificate = HEXLOWER.encode(made.cert.der());
    println!("{}", json!({ "event": "listening", "addr": endpoint.local_addr()?, "certificate": certificate }));
    let connection = endpoint.accept().await.ok_or("nobody connects")?.await?;
    let (mut send, mut recv) = connection.accept_bi().await?;
    let bytes = drop_all(&mut recv).await?;
    send.write_all(&bytes.to_be_bytes()).await?;
    send.finish()?;
    connection.closed().await;
    Ok(())
}

async fn drop_all(recv: &mut RecvStream) -> Result<u64> {
    let mut bytes = 0;
    while let Some(chunk) = recv.read_chunk(usize::MAX, true).await? {
        bytes += chunk.bytes.len() as u64;
    }
    Ok(bytes)
}

async fn write_to_all(readers: &[String], bytes: u64) -> Result<()> {
    let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let mut writing = JoinSet::new();
    for reader in readers.chunks_exact(2) {
        let (endpoint, addr, certificate) = (endpoint.clone(), reader[0].clone(), reader[1].clone());
        writing.spawn(async move { write(&endpoint, &addr, &certificate, bytes).await.map_err(|e| e.to_string()) });
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    println!("{}", json!({ "event": "finished" }));
    endpoint.close(0u32.into(), &[]);
    endpoint.wait_idle().await;
    Ok(())
}

async fn write(endpoint: &Endpoint, addr: &str, certificate: &str, bytes: u64) -> Result<()> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(HEXLOWER.decode(certificate.as_bytes())?.into())?;
    let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
    config.transport_config(transport());
    let connection = endpoint.connect_with(config, addr.parse()?, NAME)?.await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    write_zeros(&mut send, bytes).await?;
    let arrived = recv.read_to_end(8).await?;
    if arrived != bytes.to_be_bytes() {
        return Err("not all bytes arrived".into());
    }
    Ok(())
}

async fn write_zeros(send: &mut SendStream, mut bytes: u64) -> Result<()> {
    let zeros = Bytes::from(vec![0; CHUNK]);
    while bytes > 0 {
        let chunk = zeros.slice(..bytes.min(CHUNK as u64) as usize);
        bytes -= chunk.len() as u64;
        send.write_chunk(chunk).await?;
    }
    send.finish()?;
    Ok(())
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config.stream_receive_window(WINDOW.into()).receive_window(WINDOW.into()).send_window(WINDOW.into());
    Arc::new(config)
}

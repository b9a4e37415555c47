//! A bare QUIC stream, for comparison: one process writes zeros to each of several others, which discard them.
//!
//! All processes are this program, called with another argument.

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

use crate::{
    measurement::Measurement,
    support::{
        Result,
        process::{BenchProcess, ResourceUsage},
    },
};

const WRITER: &str = "--bare-stream-writer";
const READER: &str = "--bare-stream-reader";
const SERVER_NAME: &str = "bare-stream";

/// The flow-control windows in bytes. On loopback, quinn's defaults would make little difference.
const WINDOW: u32 = 16 * 1024 * 1024;

/// The bytes of one write.
const CHUNK: usize = 256 * 1024;

/// Sends `bytes` bytes to each of `readers` readers once.
pub(super) fn run(bytes: u64, readers: usize) -> Result<Measurement> {
    let program = env::current_exe()?;
    let mut command = Command::new(&program);
    command.args([WRITER, &bytes.to_string()]);
    let mut started = Vec::new();
    for _ in 0..readers {
        let reader = BenchProcess::start("reader", Command::new(&program).arg(READER))?;
        let (_, listening) = reader.wait_for_event("listening")?;
        let (Some(addr), Some(certificate)) = (listening["addr"].as_str(), listening["certificate"].as_str()) else {
            return Err("the reader reports no address".into());
        };
        command.args([addr, certificate]);
        started.push(reader);
    }
    let start = Instant::now();
    let writer = BenchProcess::start("writer", &mut command)?;
    let (ended, _) = writer.wait_for_event("finished")?;
    let sender = writer.wait_for_success()?;
    let usage = started.into_iter().map(BenchProcess::wait_for_success).collect::<Result<Vec<_>>>()?;
    let seconds = vec![(ended - start).as_secs_f64()];
    let (bytes, receivers) = (bytes * readers as u64, ResourceUsage::total(&usage));
    Ok(Measurement { bytes, fairness: None, seconds, sender, receivers, ..Measurement::default() })
}

/// One end of a stream, in a separate process.
pub(super) enum End<'a> {
    Writer(&'a [String]),
    Reader,
}

impl<'a> End<'a> {
    /// Returns the end that this process was started for; `None` if it is the benchmark itself.
    pub(super) fn parse(args: &'a [String]) -> Option<Self> {
        match args.split_first() {
            Some((first, rest)) if first == WRITER => Some(Self::Writer(rest)),
            Some((first, _)) if first == READER => Some(Self::Reader),
            _ => None,
        }
    }

    /// Runs this end until all bytes have arrived.
    pub(super) fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match self {
            Self::Reader => runtime.block_on(read()),
            Self::Writer([bytes, readers @ ..]) => runtime.block_on(write_to_readers(readers, bytes.parse()?)),
            Self::Writer([]) => {
                Err("the writer needs a number, and an address and a certificate for each reader".into())
            }
        }
    }
}

async fn read() -> Result<()> {
    let certified = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let mut config = ServerConfig::with_single_cert(vec![certified.cert.der().clone()], key)?;
    config.transport_config(transport());
    let endpoint = Endpoint::server(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let certificate = HEXLOWER.encode(certified.cert.der());
    println!("{}", json!({ "event": "listening", "addr": endpoint.local_addr()?, "certificate": certificate }));
    let connection = endpoint.accept().await.ok_or("the writer does not connect")?.await?;
    let (mut send, mut recv) = connection.accept_bi().await?;
    let bytes = discard_all(&mut recv).await?;
    send.write_all(&bytes.to_be_bytes()).await?;
    send.finish()?;
    connection.closed().await;
    Ok(())
}

async fn discard_all(recv: &mut RecvStream) -> Result<u64> {
    let mut bytes = 0;
    while let Some(chunk) = recv.read_chunk(usize::MAX, true).await? {
        bytes += chunk.bytes.len() as u64;
    }
    Ok(bytes)
}

async fn write_to_readers(readers: &[String], bytes: u64) -> Result<()> {
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
    let connection = endpoint.connect_with(config, addr.parse()?, SERVER_NAME)?.await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    write_zeros(&mut send, bytes).await?;
    let arrived = recv.read_to_end(8).await?;
    if arrived != bytes.to_be_bytes() {
        return Err("some bytes did not arrive".into());
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

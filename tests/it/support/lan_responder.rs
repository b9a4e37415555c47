//! A responder of multicast DNS that tests inject: it answers questions for senders as senders do, or as attackers may.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use simple_dns::{
    CLASS, Label, Name, Packet, Question, ResourceRecord, TYPE,
    rdata::{A, PTR, RData, SRV, TXT},
};
use tokio::sync::watch;

/// The type of the service that senders announce.
pub(crate) const SERVICE: &str = "_qshare._udp.local";

/// How often the thread checks whether the responder was dropped.
const SHUTDOWN_CHECK: Duration = Duration::from_millis(50);

/// A question that a responder has received.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LanQuestion {
    /// The id that the answer must repeat.
    pub(crate) id: u16,
    /// The socket of the search.
    pub(crate) from: SocketAddr,
    /// The number of questions before this one.
    pub(crate) earlier: usize,
}

/// Answers questions for senders, on a thread of its own. It stops when dropped.
pub(crate) struct LanResponder {
    addr: SocketAddr,
    questions: watch::Receiver<usize>,
    is_dropped: Arc<AtomicBool>,
}

impl LanResponder {
    /// Announces senders at these ports, on a port of loopback.
    pub(crate) fn announcing(ports: &[u16]) -> Self {
        let ports = ports.to_vec();
        Self::start(move |question| ports.iter().map(|&port| lan_answer(question.id, port)).collect())
    }

    /// Answers each question on a port of loopback with these messages.
    pub(crate) fn start(answers: impl FnMut(LanQuestion) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::on(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), answers)
    }

    /// Answers each question that arrives at `socket`.
    pub(crate) fn on(socket: UdpSocket, mut answers: impl FnMut(LanQuestion) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let addr = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(SHUTDOWN_CHECK)).unwrap();
        let (count, questions) = watch::channel(0);
        let is_dropped = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_dropped);
        thread::spawn(move || {
            while let Some((id, from)) = next_question(&socket, &ended) {
                for answer in answers(LanQuestion { id, from, earlier: *count.borrow() }) {
                    let _ = socket.send_to(&answer, from); // the search may have ended
                }
                count.send_modify(|count| *count += 1);
            }
        });
        Self { addr, questions, is_dropped }
    }

    /// Returns the address for questions.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until as many questions were answered.
    pub(crate) async fn answered(&self, questions: usize) {
        self.questions.clone().wait_for(|&answered| answered >= questions).await.unwrap();
    }
}

impl Drop for LanResponder {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }
}

/// Receives the next question for senders; `None` once the responder is dropped.
fn next_question(socket: &UdpSocket, is_dropped: &AtomicBool) -> Option<(u16, SocketAddr)> {
    let mut buffer = [0; 1500];
    while !is_dropped.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                if let Some(id) = id_of_question(&buffer[..length]) {
                    return Some((id, from));
                }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {} // a search has ended
            Err(e) => panic!("the responder cannot receive: {e}"),
        }
    }
    None
}

/// Returns the id of a message that asks for senders.
fn id_of_question(message: &[u8]) -> Option<u16> {
    let packet = Packet::parse(message).ok()?;
    let asks = |question: &Question| question.qname.to_string() == SERVICE && question.qtype == TYPE::PTR.into();
    (packet.questions.iter().any(asks)).then(|| packet.id())
}

/// Returns the answer of a sender at this port, with an address of its host, as other programs send it.
pub(crate) fn lan_answer(id: u16, port: u16) -> Vec<u8> {
    named_lan_answer(id, format!("{:016x}", u64::from(port)).as_bytes(), SERVICE, port)
}

/// Returns an answer with an instance of this name, of this service, at this port.
pub(crate) fn named_lan_answer(id: u16, instance: &[u8], service: &str, port: u16) -> Vec<u8> {
    let service = Name::new(service).unwrap();
    let labels: Vec<_> = [Label::new_unchecked(instance)].into_iter().chain(service.get_labels().to_vec()).collect();
    let instance = Name::new_with_labels(&labels);
    let host = Name::new("0123456789abcdef.local").unwrap();
    let record = |name: &Name<'static>, data| ResourceRecord::new(name.clone(), CLASS::IN, 10, data);
    let (service, instance) = (service.into_owned(), instance.into_owned());
    let mut packet = Packet::new_reply(id);
    packet.questions.push(Question::new(service.clone(), TYPE::PTR.into(), CLASS::IN.into(), false));
    packet.answers.push(record(&service, RData::PTR(PTR(instance.clone()))));
    let location = SRV { priority: 0, weight: 0, port, target: host.clone() };
    packet.additional_records.extend([
        record(&instance, RData::SRV(location)),
        record(&instance, RData::TXT(TXT::new())),
        record(&host, RData::A(A::from(Ipv4Addr::LOCALHOST))),
    ]);
    packet.build_bytes_vec_compressed().unwrap()
}

//! The messages of multicast DNS: a question for all senders, the answers, and what everyone on a network gets.

use std::net::IpAddr;

use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE, header_buffer,
    rdata::{A, AAAA, PTR, RData, SRV, TXT},
};

use super::SERVICE;

/// The longest message that is read, in bytes. It fits into an Ethernet frame; a responder splits longer ones.
pub(super) const MAX_MESSAGE: usize = 1_472;

/// The maximum number of entries of a message. A question has one, an answer four.
const MAX_ENTRIES: u32 = 32;

/// The maximum number of addresses in an announcement. So many and the names fit into a message.
const MAX_ADDRESSES: usize = 16;

/// How long an answer to a one-shot question is valid, in seconds (RFC 6762 section 6.7).
const ONE_SHOT_TTL: u32 = 10;

/// How long a browser keeps an announcement, in seconds. RFC 6762 section 10 recommends this for records that depend on
/// a host name. All records use it, so a sender that ends without a goodbye disappears soon.
const TTL: u32 = 120;

/// The lowest port that is accepted. Services that everyone runs have lower ones, and nobody must be able to direct a
/// receiver's packets to them.
const MIN_PORT: u16 = 1_024;

/// Returns the question for all senders.
pub(super) fn question(id: u16) -> Vec<u8> {
    let mut packet = Packet::new_query(id);
    let service = Name::new_unchecked(SERVICE);
    packet.questions.push(Question::new(service, TYPE::PTR.into(), CLASS::IN.into(), false));
    // Writing to memory does not fail. An empty message would be ignored by everyone.
    packet.build_bytes_vec().unwrap_or_default()
}

/// Returns the ports of senders in an answer to the question with this `id`. Empty if `message` is anything else, or
/// longer or more complex than any answer of a sender.
///
/// Nothing else in the answer is used: no name and no address.
pub(super) fn sender_ports(message: &[u8], id: u16) -> Vec<u16> {
    let Some(packet) = parse(message) else {
        return Vec::new();
    };
    let is_answer = packet.id() == id && packet.has_flags(PacketFlag::RESPONSE) && packet.rcode() == RCODE::NoError;
    if !is_answer {
        return Vec::new();
    }
    packet.answers.iter().chain(&packet.additional_records).filter_map(sender_port).collect()
}

/// What a sender announces: a port, and random names.
#[derive(Debug)]
pub(super) struct Announced {
    instance: String,
    host: String,
    port: u16,
}

impl Announced {
    /// Announces a port. No two runs have a name in common, so the names need no probe (RFC 6762 section 8.1).
    pub(super) fn new(port: u16) -> Self {
        let [instance, host] = [SERVICE, "local"].map(|parent| format!("{:016x}.{parent}", rand::random::<u64>()));
        Self { instance, host, port }
    }

    /// Returns the answer to a question for all senders; `None` if `message` is anything else.
    ///
    /// It has the form of an answer to a one-shot question (RFC 6762 section 6.7): the question, and records that
    /// expire after 10 s. It contains no address, because a receiver uses the one that the answer comes from.
    pub(super) fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let question = parse(message)?;
        let service = Name::new_unchecked(SERVICE);
        let asks = |question: &Question| {
            question.qname == service
                && matches!(question.qtype, QTYPE::TYPE(TYPE::PTR) | QTYPE::ANY)
                && matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY)
        };
        if question.has_flags(PacketFlag::RESPONSE) || !question.questions.iter().any(asks) {
            return None;
        }
        let mut answer = Packet::new_reply(question.id());
        answer.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        answer.questions.push(Question::new(service, TYPE::PTR.into(), CLASS::IN.into(), false));
        let [pointer, description @ ..] = self.service_records(ONE_SHOT_TTL);
        answer.answers.push(pointer);
        answer.additional_records.extend(description);
        answer.build_bytes_vec_compressed().ok()
    }

    /// Returns the message that tells everyone on an interface with these addresses about the sender (RFC 6762
    /// section 8.3). It answers questions too.
    pub(super) fn announcement(&self, addresses: &[IpAddr]) -> Vec<u8> {
        response(self.records(addresses, TTL))
    }

    /// Returns the message that removes an announcement from all caches (RFC 6762 section 10.1).
    pub(super) fn goodbye(&self, addresses: &[IpAddr]) -> Vec<u8> {
        response(self.records(addresses, 0))
    }

    /// Whether `message` asks for a record of the announcement, and does not list it as known (RFC 6762 section 7.1).
    pub(super) fn is_asked_for(&self, message: &[u8], addresses: &[IpAddr]) -> bool {
        let Some(packet) = parse(message).filter(|packet| !packet.has_flags(PacketFlag::RESPONSE)) else {
            return false;
        };
        let is_asked = |record: &ResourceRecord| {
            packet.questions.iter().any(|question| {
                question.qname == record.name
                    && record.match_qtype(question.qtype)
                    && record.match_qclass(question.qclass)
            })
        };
        let is_known = |record: &ResourceRecord| {
            packet
                .answers
                .iter()
                .any(|known| known.name == record.name && known.rdata == record.rdata && known.ttl >= record.ttl / 2)
        };
        self.records(addresses, TTL).iter().any(|record| is_asked(record) && !is_known(record))
    }

    /// Returns all records, as caches keep them.
    fn records(&self, addresses: &[IpAddr], ttl: u32) -> Vec<ResourceRecord<'_>> {
        let [pointer, description @ ..] = self.service_records(ttl);
        let addresses = addresses.iter().take(MAX_ADDRESSES).map(|&address| {
            let data = match address {
                IpAddr::V4(ip) => RData::A(A::from(ip)),
                IpAddr::V6(ip) => RData::AAAA(AAAA::from(ip)),
            };
            ResourceRecord::new(Name::new_unchecked(&self.host), CLASS::IN, ttl, data)
        });
        // Only the pointer's name belongs to other senders too. The others replace what is cached (section 10.2).
        let unique = description.into_iter().chain(addresses).map(|record| record.with_cache_flush(true));
        [pointer].into_iter().chain(unique).collect()
    }

    /// Returns the records PTR, SRV and TXT.
    fn service_records(&self, ttl: u32) -> [ResourceRecord<'_>; 3] {
        let [service, instance, host] = [SERVICE, &self.instance, &self.host].map(Name::new_unchecked);
        let location = SRV { priority: 0, weight: 0, port: self.port, target: host };
        // One empty string (RFC 6763 section 6.1). A record without strings has the same bytes, but is not equal
        // to a parsed one.
        let description = TXT::new().with_string("").unwrap_or_default();
        let record = |name, data| ResourceRecord::new(name, CLASS::IN, ttl, data);
        [
            record(service, RData::PTR(PTR(instance.clone()))),
            record(instance.clone(), RData::SRV(location)),
            record(instance, RData::TXT(description)),
        ]
    }
}

/// Returns a response to everyone. It has no id and no question (RFC 6762 sections 6 and 18.1).
fn response(records: Vec<ResourceRecord>) -> Vec<u8> {
    let mut packet = Packet::new_reply(0);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet.answers = records;
    // Writing to memory does not fail. An empty message would be ignored by everyone.
    packet.build_bytes_vec_compressed().unwrap_or_default()
}

/// Parses a message, unless it is longer or more complex than those of senders and receivers.
fn parse(message: &[u8]) -> Option<Packet<'_>> {
    let is_small = message.len() <= MAX_MESSAGE && entries(message).is_ok_and(|entries| entries <= MAX_ENTRIES);
    if !is_small {
        return None; // the parser allocates for as many entries as the header claims
    }
    Packet::parse(message).ok().filter(|packet| packet.opcode() == OPCODE::StandardQuery)
}

/// The number of entries that the header of a message claims.
fn entries(message: &[u8]) -> simple_dns::Result<u32> {
    Ok(u32::from(header_buffer::questions(message)?)
        + u32::from(header_buffer::answers(message)?)
        + u32::from(header_buffer::name_servers(message)?)
        + u32::from(header_buffer::additional_records(message)?))
}

/// The port in a record, if that describes an instance of our service.
fn sender_port(record: &ResourceRecord) -> Option<u16> {
    let RData::SRV(service) = &record.rdata else {
        return None;
    };
    let ours = Name::new_unchecked(SERVICE);
    let is_instance = record.name.is_subdomain_of(&ours)
        && record.name.get_labels().len() == ours.get_labels().len() + 1
        && record.class == CLASS::IN;
    (is_instance && service.port >= MIN_PORT).then_some(service.port)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// An answer of mdns-sd 0.21.7 to a question with the id 7, for the port 7000.
    const ANSWER: &[u8] = b"\0\x07\x84\0\0\x01\0\x01\0\0\0\x03\
        \x07_qshare\x04_udp\x05local\0\0\x0c\0\x01\
        \xc0\x0c\0\x0c\0\x01\0\0\0\x0a\0\x13\x1019894032594c3925\xc0\x0c\
        \xc0\x30\0\x21\0\x01\0\0\0\x0a\0\x19\0\0\0\0\x1b\x58\x10fd473ee9a6f0d181\xc0\x19\
        \xc0\x30\0\x10\0\x01\0\0\0\x0a\0\x01\0\
        \xc0\x55\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\x09\0\x01";

    #[test]
    fn the_question_has_golden_bytes() {
        let expected = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07_qshare\x04_udp\x05local\0\0\x0c\0\x01";
        assert_eq!(question(0x1234), expected);
    }

    #[test]
    fn a_question_is_answered_with_the_port_and_random_names() {
        let (announced, another) = (Announced::new(7000), Announced::new(7000));
        let answer = announced.answer(&question(7)).unwrap();
        assert_eq!(sender_ports(&answer, 7), [7000]);
        assert_ne!(answer, another.answer(&question(7)).unwrap());
        assert_eq!(answer.len(), announced.answer(&question(8)).unwrap().len());
        assert_eq!(announced.answer(&answer), None);
        assert_eq!(announced.answer(&[]), None);
    }

    #[test]
    fn only_questions_for_senders_are_answered() {
        let announced = Announced::new(7000);
        let changed = |at: usize, byte: u8| {
            let mut question = question(7);
            question[at] = byte;
            announced.answer(&question)
        };
        assert!(changed(14, b'Q').is_some()); // names ignore case
        assert!(changed(14, b'x').is_none()); // another service
        assert!(changed(33, 1).is_none()); // another type
        assert!(changed(35, 3).is_none()); // another class
        assert!(changed(2, 0x28).is_none()); // an update
    }

    const ADDRESSES: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

    fn announced() -> Announced {
        let [instance, host] = ["0123456789abcdef._qshare._udp.local", "fedcba9876543210.local"].map(str::to_owned);
        Announced { instance, host, port: 7000 }
    }

    /// The flush bit is set in all records but the pointer, and each is valid for 120 s.
    #[test]
    fn an_announcement_has_golden_bytes() {
        let expected = b"\0\0\x84\0\0\0\0\x05\0\0\0\0\
            \x07_qshare\x04_udp\x05local\0\0\x0c\0\x01\0\0\0\x78\0\x13\x100123456789abcdef\xc0\x0c\
            \xc0\x2a\0\x21\x80\x01\0\0\0\x78\0\x1e\0\0\0\0\x1b\x58\x10fedcba9876543210\x05local\0\
            \xc0\x2a\0\x10\x80\x01\0\0\0\x78\0\x01\0\
            \x10fedcba9876543210\xc0\x19\0\x01\x80\x01\0\0\0\x78\0\x04\xc0\0\x02\x01\
            \xc0\x74\0\x1c\x80\x01\0\0\0\x78\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01";
        assert_eq!(
            announced().announcement(&ADDRESSES).escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    #[test]
    fn a_goodbye_is_an_announcement_that_expires_at_once() {
        let (announcement, goodbye) = (announced().announcement(&ADDRESSES), announced().goodbye(&ADDRESSES));
        let mut expected = Packet::parse(&announcement).unwrap();
        expected.answers.iter_mut().for_each(|record| record.ttl = 0);
        assert_eq!(goodbye, expected.build_bytes_vec_compressed().unwrap());
    }

    #[test]
    fn the_names_of_an_announcement_are_random() {
        let (one, other) = (Announced::new(7000), Announced::new(7000));
        assert!(one.instance != other.instance && one.host != other.host);
        assert_ne!(one.instance[..16], one.host[..16]);
        assert_eq!(one.announcement(&ADDRESSES).len(), announced().announcement(&ADDRESSES).len());
    }

    #[test]
    fn an_announcement_of_many_addresses_fits_into_a_message() {
        assert!(announced().announcement(&[ADDRESSES[1]; 1_000]).len() <= MAX_MESSAGE);
        assert!(announced().announcement(&[]).len() < announced().announcement(&ADDRESSES).len());
    }

    /// Returns a question of a browser, which knows these records.
    fn browser_question(name: &str, kind: QTYPE, known: Vec<ResourceRecord>) -> Vec<u8> {
        let mut packet = Packet::new_query(0);
        packet.questions.push(Question::new(Name::new_unchecked(name), kind, CLASS::IN.into(), true));
        packet.answers = known;
        packet.build_bytes_vec_compressed().unwrap()
    }

    #[test]
    fn browsers_may_ask_for_each_record() {
        let announced = announced();
        let asks = |name: &str, kind| announced.is_asked_for(&browser_question(name, kind, Vec::new()), &ADDRESSES);
        let (instance, host) = (announced.instance.as_str(), announced.host.as_str());
        for (name, kinds) in
            [(SERVICE, &[TYPE::PTR][..]), (instance, &[TYPE::SRV, TYPE::TXT]), (host, &[TYPE::A, TYPE::AAAA])]
        {
            assert!(asks(name, QTYPE::ANY));
            for kind in [TYPE::PTR, TYPE::SRV, TYPE::TXT, TYPE::A, TYPE::AAAA, TYPE::HINFO] {
                assert_eq!(asks(name, kind.into()), kinds.contains(&kind), "{name} {kind:?}");
            }
        }
        for other in ["_services._dns-sd._udp.local", "_ipp._tcp.local", "local", "other._qshare._udp.local"] {
            assert!(!asks(other, QTYPE::ANY), "{other}");
        }
        assert!(!announced.is_asked_for(&announced.announcement(&ADDRESSES), &ADDRESSES));
        assert!(!announced.is_asked_for(b"", &ADDRESSES));
    }

    #[test]
    fn a_browser_that_knows_the_records_gets_no_answer() {
        let announced = announced();
        let asks = |name: &str, known| announced.is_asked_for(&browser_question(name, QTYPE::ANY, known), &ADDRESSES);
        for name in [SERVICE, &announced.instance, &announced.host] {
            assert!(!asks(name, announced.records(&ADDRESSES, TTL)), "{name}");
            assert!(!asks(name, announced.records(&ADDRESSES, TTL / 2)), "{name}");
            assert!(asks(name, announced.records(&ADDRESSES, TTL / 2 - 1)), "{name}");
        }
        let another = Announced::new(7000);
        assert!(asks(SERVICE, another.records(&ADDRESSES, TTL)));
    }

    #[test]
    fn answers_of_mdns_sd_are_understood() {
        assert_eq!(sender_ports(ANSWER, 7), [7000]);
        assert!(sender_ports(ANSWER, 8).is_empty());
    }

    /// Pointers lead backwards only, so the length of a message bounds the work for each of its names.
    #[test]
    fn chains_of_pointers_end() {
        const RECORDS: usize = 30;
        let mut message = question(7);
        message[2] = 0x84;
        message[7] = RECORDS as u8 + 1;
        let chain = MAX_MESSAGE - message.len() - 11 - 21 * RECORDS;
        message.extend(b"\0\0\x0a\0\x01\0\0\0\x0a"); // a record of any bytes
        message.extend((chain as u16).to_be_bytes());
        let mut target = 12; // the name in the question
        while message.len() < MAX_MESSAGE - 21 * RECORDS - 1 {
            let pointer = 0xc000 | target as u16;
            target = message.len();
            message.extend(pointer.to_be_bytes());
        }
        message.resize(MAX_MESSAGE - 21 * RECORDS, 0);
        for _ in 0..RECORDS {
            message.extend(b"\x01x");
            message.extend((0xc000 | target as u16).to_be_bytes());
            message.extend(b"\0\x21\0\x01\0\0\0\x0a\0\x07\0\0\0\0\x1b\x58\0");
        }
        assert_eq!(sender_ports(&message, 7), [7000; RECORDS]);
        let last = message.len() - 19;
        message[last..last + 2].copy_from_slice(&(0xc000 | last as u16).to_be_bytes()); // points at itself
        assert!(sender_ports(&message, 7).is_empty());
    }

    #[test]
    fn messages_that_claim_many_entries_are_not_parsed() {
        for count in [4, 6, 8, 10] {
            let mut message = ANSWER.to_vec();
            message[count..count + 2].copy_from_slice(&u16::MAX.to_be_bytes());
            assert!(sender_ports(&message, 7).is_empty());
        }
    }

    proptest! {
        #[test]
        fn random_messages_never_panic(message in prop::collection::vec(any::<u8>(), 0..2_000), id: u16) {
            let _ = announced().answer(&message);
            let _ = announced().is_asked_for(&message, &ADDRESSES);
            assert!(sender_ports(&message, id).iter().all(|&port| port >= MIN_PORT));
        }

        #[test]
        fn perturbed_answers_never_panic(
            changes in prop::collection::vec((0..ANSWER.len(), any::<u8>()), 1..8),
            length in 0..=ANSWER.len(),
            tail in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut message = [&ANSWER[..length], &tail].concat();
            for (at, byte) in changes {
                if let Some(changed) = message.get_mut(at) {
                    *changed = byte;
                }
            }
            let ports = sender_ports(&message, 7);
            let _ = announced().answer(&message);
            let _ = announced().is_asked_for(&message, &ADDRESSES);
            assert!(ports.len() <= MAX_ENTRIES as usize && ports.iter().all(|&port| port >= MIN_PORT));
        }

        /// Bytes beyond the header that look like records more often than random ones do.
        #[test]
        fn random_names_and_pointers_never_panic(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 1..16).prop_map(|label| [&[label.len() as u8][..], &label].concat()),
                    (0xc000_u16..).prop_map(|pointer| pointer.to_be_bytes().to_vec()),
                    Just(b"\0\0\x21\0\x01\0\0\0\x0a\0\x10".to_vec()),
                    Just(vec![0]),
                ],
                0..64,
            ),
            answers in 0..32_u8,
        ) {
            let message = [&[0, 7, 0x84, 0, 0, 0, 0, answers, 0, 0, 0, 0][..], &pieces.concat()].concat();
            assert!(sender_ports(&message, 7).iter().all(|&port| port >= MIN_PORT));
        }
    }
}

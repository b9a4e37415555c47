//! The messages of a search: a question for all senders, and the ports in an answer.

use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, Question, RCODE, ResourceRecord, TYPE, header_buffer, rdata::RData,
};

use super::SERVICE;

/// The longest answer that is read, in bytes. It fits into an Ethernet frame; a responder splits longer ones.
pub(super) const MAX_ANSWER: usize = 1_472;

/// The maximum number of entries of an answer. An answer of one sender has three and one for each of its addresses.
const MAX_ENTRIES: u32 = 32;

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
    let is_small = message.len() <= MAX_ANSWER && entries(message).is_ok_and(|entries| entries <= MAX_ENTRIES);
    if !is_small {
        return Vec::new(); // the parser allocates for as many entries as the header claims
    }
    let Ok(packet) = Packet::parse(message) else {
        return Vec::new();
    };
    let is_answer = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && packet.opcode() == OPCODE::StandardQuery
        && packet.rcode() == RCODE::NoError;
    if !is_answer {
        return Vec::new();
    }
    packet.answers.iter().chain(&packet.additional_records).filter_map(sender_port).collect()
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

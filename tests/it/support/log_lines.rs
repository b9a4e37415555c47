//! Content that compresses like the log of a web server.

/// Returns the lines of a log, `size` bytes in all. They compress to about a fifth.
pub(crate) fn log_lines(size: usize) -> Vec<u8> {
    let mut log = Vec::with_capacity(size + 200);
    for n in 0u64.. {
        if log.len() >= size {
            break;
        }
        let noise = blake3::hash(&n.to_le_bytes());
        let [a, b, c, d, e, ..] = noise.as_bytes();
        let request = format!("\"GET /items/{c}{d} HTTP/1.1\" 200 {}", n * 7);
        let line = format!("192.0.{a}.{b} - - {request} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\" {e}ms\n");
        log.extend_from_slice(line.as_bytes());
    }
    log.truncate(size);
    log
}
